// `npm run mutate`: breaks the code on purpose, one place at a time, and counts how often no test
// notices. CONTRIBUTING.md says how to use it.
import { parseArgs } from "node:util";
import { mutateNative } from "./mutation/native.mjs";
import { filesToMutate } from "./mutation/sample.mjs";
import { mutateTypeScript } from "./mutation/typescript.mjs";

const OPTIONS = {
  base: { type: "string" },
  seed: { type: "string", default: "1" },
  max: { type: "string", default: "100" },
  minutes: { type: "string", default: "30" },
  only: { type: "string", default: "" },
  file: { type: "string", multiple: true },
  e2e: { type: "string", default: "test/e2e/engine-calls.test.ts" },
};

process.chdir(new URL("..", import.meta.url).pathname);
const { values } = parseArgs({ options: OPTIONS });
const number = (name, most) => {
  const value = Number(values[name]);
  if (Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw new Error(`--${name}: expected a whole number from 0 to ${most}, got "${values[name]}"`);
};
const limits = {
  seed: number("seed", 2 ** 31),
  max: number("max", 100),
  minutes: number("minutes", 30),
};
const wish = { ...limits, e2e: values.e2e, log: console.log };
const isWanted = (file) => !values.file || values.file.includes(file);
const wants = (part) => values.only === "" || values.only === part;

if (wants("typescript")) {
  const files = filesToMutate(["src"], [".ts"], values.base).filter(isWanted);
  await mutateTypeScript(files, wish);
}
if (wants("native")) {
  const folders = ["c-src/lib", "c-src/ngx", "lua/resty"];
  const files = filesToMutate(folders, [".c", ".lua"], values.base).filter(isWanted);
  await mutateNative(files, wish);
}

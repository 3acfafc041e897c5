// The command line goes before the environment, that before nffi.config.json, that before defaults.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { expect, test } from "vitest";
import type { CommandContext } from "../../../src/commands/context.js";
import { applySettings } from "../../../src/commands/settings.js";
import { collect, wholeNumber } from "../../../src/commands/source-options.js";
import { temporaryFolder } from "../../support/temporary.js";

interface Given {
  argv?: string[];
  env?: Record<string, string>;
  config?: unknown;
  below?: string;
}

async function optionsOf({ argv = [], env = {}, config, below = "" }: Given) {
  const folder = temporaryFolder();
  const cwd = join(folder, below);
  mkdirSync(cwd, { recursive: true });
  if (config !== undefined) writeFileSync(join(folder, "nffi.config.json"), textOf(config));
  const command = new Command("build")
    .option("--source <source>", "", "auto")
    .option("--mirror <url>", "", collect)
    .option("--work-dir <dir>", "")
    .option("--jobs <n>", "", wholeNumber(1, 8))
    .option("--keep", "")
    .option("--insecure-skip-verification", "");
  command.parse(argv, { from: "user" });
  const settings = await applySettings(command, { env, cwd } as unknown as CommandContext);
  return { folder, ...settings, ...command.opts() };
}

const textOf = (config: unknown) => (typeof config === "string" ? config : JSON.stringify(config));

test("the command line wins, then the environment, then the file, then the default", async () => {
  const config = { jobs: 2, source: "official" };
  const env = { NFFI_JOBS: "3" };
  expect(await optionsOf({ argv: ["--jobs", "4"], env, config })).toMatchObject({ jobs: 4 });
  expect(await optionsOf({ env, config })).toMatchObject({ jobs: 3, source: "official" });
  expect(await optionsOf({ config })).toMatchObject({ jobs: 2 });
  expect(await optionsOf({})).toMatchObject({ source: "auto", configure: [] });
});

test("lists: an array in the file, separated in the environment", async () => {
  const config = { mirror: ["https://a", "https://b"], configure: ["--with-debug"] };
  const mirror = ["https://a", "https://b"];
  expect(await optionsOf({ config })).toMatchObject({ mirror, configure: ["--with-debug"] });
  expect(await optionsOf({ env: { NFFI_MIRROR: "https://a, https://b" } })).toMatchObject({
    mirror,
  });
});

test("flags can be set and not set", async () => {
  expect(await optionsOf({ config: { keep: true } })).toMatchObject({ keep: true });
  const unset = await optionsOf({ config: { keep: true }, env: { NFFI_KEEP: "0" } });
  expect(unset).toMatchObject({ keep: false });
});

test("a path in the file is seen from the file's folder, also from folders below", async () => {
  const config = { workDir: "work", source: "./tree" };
  const found = await optionsOf({ config, below: "a/b" });
  expect(found).toMatchObject({
    workDir: join(found.folder, "work"),
    source: join(found.folder, "tree"),
  });
});

test("verification is never skipped by a file or a variable", async () => {
  const env = { NFFI_INSECURE_SKIP_VERIFICATION: "1" };
  expect(await optionsOf({ env })).not.toHaveProperty("insecureSkipVerification");
  const config = { insecureSkipVerification: true };
  await expect(optionsOf({ config })).rejects.toThrow("unknown option");
});

test.each<[string, Given, string]>([
  ["an unknown key", { config: { colour: true } }, 'unknown option "colour"'],
  ["no JSON", { config: "{" }, "nffi.config.json: "],
  ["no object", { config: [] }, "is not a JSON object"],
  ["a wrong number", { config: { jobs: 99 } }, '"99" is invalid'],
  ["a flag of text", { config: { keep: "yes" } }, "must be true or false"],
  ["a list where there is none", { config: { source: ["a"] } }, "must be text or a number"],
  ["configure as a text", { config: { configure: "--x" } }, "must be a list of texts"],
  ["an empty path", { config: { workDir: "" } }, "is empty"],
  ["a wrong variable", { env: { NFFI_JOBS: "many" } }, 'NFFI_JOBS: "many" is invalid'],
])("%s is refused", async (_name, given, says) => {
  await expect(optionsOf(given)).rejects.toThrow(says);
});

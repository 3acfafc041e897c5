import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ownCommand, withOwnCommand } from "../../../src/host/own-command.js";
import { temporaryFolder } from "../../support/temporary.js";

const env = { PATH: "/usr/bin" };

test("npx is given its package by an absolute path", () => {
  const home = temporaryFolder();
  const cache = join(home, ".npm/_npx/0123abcd");
  const root = join(cache, "node_modules/nffi");
  mkdirSync(root, { recursive: true });
  const dependencies = { nffi: "file:../../../my work/nffi-0.1.0.tgz" };
  writeFileSync(join(cache, "package.json"), JSON.stringify({ dependencies }));
  const script = join(cache, "node_modules/.bin/nffi");
  expect(ownCommand({ env, cwd: home, script, root })).toBe(
    `npx --yes --package '${home}/my work/nffi-0.1.0.tgz' nffi`,
  );
  // a package of that name in the registry may belong to someone else
  writeFileSync(join(cache, "package.json"), JSON.stringify({ dependencies: { nffi: "^1" } }));
  expect(ownCommand({ env, cwd: "/", script, root })).toBe(script);
});

test("a clone and a dependency are called by their path", () => {
  const root = "/home/me/nffi";
  const clone = { env, root, script: `${root}/bin/nffi.mjs` };
  expect(ownCommand({ ...clone, cwd: root })).toBe("node bin/nffi.mjs");
  expect(ownCommand({ ...clone, cwd: "/home/me" })).toBe("node nffi/bin/nffi.mjs");
  expect(ownCommand({ ...clone, cwd: "/srv" })).toBe("node /home/me/nffi/bin/nffi.mjs");
  const script = "/srv/app/node_modules/.bin/nffi";
  expect(ownCommand({ env, root, script, cwd: "/srv/app" })).toBe("node_modules/.bin/nffi");
});

test("commands in backticks are replaced, other words are not", () => {
  expect(withOwnCommand("run `nffi build`, or nffi", "npx x nffi")).toBe(
    "run `npx x nffi build`, or nffi",
  );
});

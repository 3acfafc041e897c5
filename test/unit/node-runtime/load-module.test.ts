// Modules that are refused before Node reads them. test/sdk/node/addon tests loading with real
// Nodes.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { loadModule } from "../../../src/node-runtime/load-module.js";
import { temporaryFolder } from "../../support/temporary.js";

function write(name: string, text: string): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, text);
  return path;
}

test("a file that is not there, not a file or not code is refused by name", async () => {
  const folder = temporaryFolder();
  const module = join(folder, "dir.mjs");
  mkdirSync(module);
  await expect(loadModule(join(folder, "none.mjs"))).rejects.toThrow(/^\/.*none.* not found$/);
  await expect(loadModule(module)).rejects.toThrow(/dir\.mjs is not a file$/);
  await expect(loadModule(write("m.json", "{}"))).rejects.toThrow(/neither JavaScript nor/);
});

// Modules of every kind: TypeScript on a Node that strips types and on one that does not, CommonJS,
// packages of the module's own directory.
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { temporaryFolder } from "../../../support/temporary.js";
import { fixture, Host, stopHosts } from "./host.js";

afterEach(stopHosts);

/** A project as a user has it: a package.json (or none) and an installed package. */
function project(packageJson: string | undefined): string {
  const folder = temporaryFolder();
  cpSync(fixture("typed"), folder, { recursive: true });
  if (packageJson !== undefined) writeFileSync(join(folder, "package.json"), packageJson);
  const dependency = join(folder, "node_modules/dependency");
  mkdirSync(dependency, { recursive: true });
  writeFileSync(join(dependency, "index.js"), 'module.exports = { name: "dependency" };\n');
  return folder;
}

test.each([undefined, '{ "type": "module" }', "{}"])(
  "TypeScript is served as it lies, package.json: %s",
  async (packageJson) => {
    const host = await Host.start(join(project(packageJson), "main.ts"));
    expect(await host.json("hello", { name: "Lua" })).toEqual({ greeting: "hello Lua" });
    expect(await host.json("double", 21)).toBe(42);
    expect(await host.json("topLevel")).toBe("awaited at the top");
    expect(await host.json("fromPackage")).toBe("dependency");
    await expect(host.json("thrown")).rejects.toMatchObject({
      detail: expect.stringMatching(/main\.ts:16:9/),
    });
    expect(host.stderr).toBe("");
  },
);

test("TypeScript may be CommonJS", async () => {
  const folder = project('{ "type": "commonjs" }');
  const host = await Host.start(join(folder, "legacy.cts"));
  expect(await host.json("double", 2)).toBe(4);
  writeFileSync(join(folder, "plain.ts"), "exports.plain = (n: number): number => n;\n");
  const plain = await Host.start(join(folder, "plain.ts"));
  expect(await plain.json("plain", 3)).toBe(3);
});

test("a CommonJS module has its exports as methods, and `this` in them", async () => {
  const host = await Host.start(fixture("common.cjs"));
  expect(await host.json("where")).toBe("common.cjs");
  expect(await host.json("owner")).toEqual(["where", "owner"]);
});

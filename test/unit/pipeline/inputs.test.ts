import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { shipped } from "../../../src/host/package.js";
import { currentPlatform } from "../../../src/host/platform.js";
import { type BuildInputs, differingParts, inputsOf } from "../../../src/pipeline/inputs.js";
import type { BuildRequest } from "../../../src/pipeline/request.js";
import { chooseSource } from "../../../src/pipeline/steps/resolve.js";
import { requestOf } from "../../support/build-request.js";
import { copyPackage } from "../../support/package-copy.js";
import { temporaryFolder } from "../../support/temporary.js";

interface World {
  readonly request?: Partial<BuildRequest>;
  readonly env?: Readonly<Record<string, string>>;
  readonly root?: string;
}

async function inputs({ request, env, root }: World = {}): Promise<BuildInputs> {
  const whole = requestOf({ source: "official", ...request });
  const world = { ...process.env, ...env };
  const below = (part: string) => join(root ?? shipped.root, part);
  const files = {
    ...shipped,
    root: root ?? shipped.root,
    patches: below("patches"),
    debianTree: below("patches/debian-openresty"),
    cSource: below("c-src"),
    lua: below("lua"),
    templates: below("templates"),
  };
  const session = { env: world, shipped: files, platform: currentPlatform() };
  return inputsOf(await chooseSource(whole, world), whole, session);
}

test("are the same for the same build, wherever nffi is installed", async () => {
  const copy = copyPackage(join(temporaryFolder(), "nffi"));
  expect((await inputs({ root: copy.folder })).key).toBe((await inputs()).key);
});

const libraries = {};

test.each<[string, string[], (folder: string) => World]>([
  ["the release", ["source"], () => ({ request: { release: "1.25.3.2" } })],
  ["the prefix", ["prefix"], () => ({ request: { prefix: "/else" } })],
  ["the flavour", ["flavor"], () => ({ request: { flavor: "asan" } })],
  [
    "an option for configure",
    ["options for configure"],
    () => ({ request: { configureArgs: ["--with-x"] } }),
  ],
  ["CFLAGS", ["compiler's environment"], () => ({ env: { CFLAGS: "-O3" } })],
  [
    "SOURCE_DATE_EPOCH",
    ["compiler's environment"],
    () => ({ env: { SOURCE_DATE_EPOCH: "1700000000" } }),
  ],
  [
    "no verification",
    ["trust in the source"],
    () => ({
      request: {
        trust: { keyring: undefined, signer: "", skip: true, requireSecurityPatches: false },
      },
    }),
  ],
  [
    "a patch",
    ["patches"],
    (folder) => {
      const patch = join(folder, "mine.patch");
      writeFileSync(patch, "--- a/src/a.c\n+++ b/src/a.c\n@@ -1 +1 @@\n-a\n+b\n");
      return { request: { patches: [patch] } };
    },
  ],
  [
    "a C file",
    ["C files"],
    (folder) => {
      const root = join(folder, "nffi");
      copyPackage(root);
      appendFileSync(join(root, "c-src/lib/shared/error.c"), "\n");
      return { root };
    },
  ],
])("differ by %s", async (_name, parts, world) => {
  const changed = await inputs(world(temporaryFolder()));
  const before = await inputs();
  expect(changed.key).not.toBe(before.key);
  expect(differingParts(before, changed)).toEqual(parts);
});

test("differ by a changed file of an added module, and of a directory as source", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "module"));
  const config = join(folder, "module/config");
  writeFileSync(config, "1");
  const added = { modules: [join(folder, "module")], dynamicModules: [], libraries };
  const world = { request: { added, source: folder } };
  const before = await inputs(world);
  expect(await inputs(world)).toEqual(before);
  writeFileSync(config, "2");
  expect(differingParts(before, await inputs(world))).toEqual([
    `--add-module ${join(folder, "module")}`,
    "source",
  ]);
});

test("a wrong SOURCE_DATE_EPOCH is reported first", async () => {
  await expect(inputs({ env: { SOURCE_DATE_EPOCH: "today" } })).rejects.toMatchObject({
    code: "usage",
    message: 'SOURCE_DATE_EPOCH is "today"',
  });
});

// Patches of the user: which component they belong to, and what is said when they do not fit.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { listComponents } from "../../../src/pipeline/components.js";
import { planPatches } from "../../../src/pipeline/patch-plan.js";
import { readSeries } from "../../../src/pipeline/patch-series.js";
import { temporaryFolder } from "../../support/temporary.js";

const TREE = {
  configure: "one\ntwo\n",
  "bundle/nginx-1.27.1/src/core/nginx.c": "old\n",
  "bundle/nginx-1.27.1/README": "of nginx\n",
  "bundle/ngx_lua-0.10.28/src/lua.c": "old\n",
  "bundle/ngx_lua-0.10.28/README": "of lua\n",
};

const edit = (path: string, from = "old", to = "new") =>
  `--- a/${path}\n+++ b/${path}\n@@ -1 +1 @@\n-${from}\n+${to}\n`;
const create = (path: string) => `--- /dev/null\n+++ b/${path}\n@@ -0,0 +1 @@\n+new\n`;
const remove = (path: string) => `--- a/${path}\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n`;

async function plan(diff: string, files: Record<string, string> = TREE) {
  const folder = temporaryFolder();
  const dir = join(folder, "tree");
  for (const [path, text] of Object.entries(files)) write(join(dir, path), text);
  write(join(folder, "patches/series"), "# none\n");
  write(join(folder, "mine.patch"), diff);
  const series = await readSeries(join(folder, "patches"), [join(folder, "mine.patch")]);
  const result = await planPatches({ dir, components: await listComponents(dir) }, series, {});
  const writes = [...result.writes].map(([path, text]) => [path.slice(dir.length + 1), text]);
  return { files: result.files, writes: Object.fromEntries(writes) };
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

test.each([
  "src/core/nginx.c",
  "bundle/nginx-1.27.1/src/core/nginx.c",
  "bundle/nginx/src/core/nginx.c",
  "openresty-1.27.1.2/bundle/nginx-1.27.1/src/core/nginx.c",
])("a/%s is a file of nginx", async (path) => {
  const { writes } = await plan(edit(path));
  expect(writes).toEqual({ "bundle/nginx-1.27.1/src/core/nginx.c": "new\n" });
});

test("a path without a/ and b/ is understood", async () => {
  const diff = edit("X").replaceAll(/[ab]\/X/g, "ngx_lua-0.10.28/src/lua.c");
  expect((await plan(diff)).writes).toEqual({ "bundle/ngx_lua-0.10.28/src/lua.c": "new\n" });
});

test("a file that several components have is the one that the lines fit", async () => {
  const { writes } = await plan(edit("README", "of lua"));
  expect(writes).toEqual({ "bundle/ngx_lua-0.10.28/README": "new\n" });
});

test("OpenResty's own files can be patched", async () => {
  const { writes } = await plan(edit("configure", "one", "1"));
  expect(writes).toEqual({ configure: "1\ntwo\n" });
});

test("one patch may touch several components, add files and remove them", async () => {
  const { writes } = await plan(
    remove("src/core/nginx.c") + edit("src/lua.c") + create("bundle/ngx_lua-0.10.28/src/more.c"),
  );
  expect(writes).toEqual({
    "bundle/nginx-1.27.1/src/core/nginx.c": undefined,
    "bundle/ngx_lua-0.10.28/src/lua.c": "new\n",
    "bundle/ngx_lua-0.10.28/src/more.c": "new\n",
  });
});

test("a new file goes to the component of the patch's other files", async () => {
  const { writes } = await plan(create("src/more.c") + edit("src/lua.c"));
  expect(writes).toHaveProperty(["bundle/ngx_lua-0.10.28/src/more.c"], "new\n");
});

test.each([
  ["src/nowhere.c", "no component has the file b/src/nowhere.c"],
  ["README", "fits 2 components: nginx, ngx_lua"],
])("%s: %s", async (path, says) => {
  const { files } = await plan(edit(path, "of both"), {
    ...TREE,
    "bundle/nginx-1.27.1/README": "of both\n",
    "bundle/ngx_lua-0.10.28/README": "of both\n",
  });
  expect(files[0]?.failure?.message).toContain(says);
  expect(files[0]?.failure?.hint).toContain("a/bundle/NAME-VERSION/FILE");
});

test("a misfit shows hunk, file and the nearest supported release", async () => {
  const { files, writes } = await plan(edit("src/core/nginx.c", "other"), {
    "bundle/nginx-1.27.3/src/core/nginx.c": "old\n",
  });
  const [failure] = files.map((file) => file.failure);
  expect(failure?.message).toBe("mine.patch does not fit nginx 1.27.3: src/core/nginx.c");
  expect(failure?.hint).toContain("-other\n+new");
  expect(failure?.hint).toContain("the nearest supported release is 1.27.1.2 (expected)");
  expect(writes).toEqual({});
});

test("a file that is to be added must not be there", async () => {
  const { files } = await plan(create("bundle/nginx/README"));
  expect(files[0]?.failure?.hint).toContain("the file is there already");
});

test.each([
  ["no diff", "just words\n", "contains no unified diff"],
  ["a rename", "diff --git a/x b/y\nrename from x\nrename to y\n", "rename from x"],
  ["bytes", "diff --git a/x b/x\nGIT binary patch\nliteral 0\n", "GIT binary patch"],
])("a file with %s is refused", async (_name, text, says) => {
  await expect(plan(text)).rejects.toThrow(says);
});

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { listComponents } from "../../../../src/pipeline/components.js";
import { readSeries } from "../../../../src/pipeline/patch-series.js";
import type { SourceTree } from "../../../../src/pipeline/steps/extract.js";
import { patchTree } from "../../../../src/pipeline/steps/patch.js";
import type { SourcePart } from "../../../../src/sources/source.js";
import { repository } from "../../../support/cli.js";
import { stepContext } from "../../../support/step-context.js";
import { temporaryFolder } from "../../../support/temporary.js";

const diffOf = (file: string, from: string, to: string) =>
  `--- a/${file}\n+++ b/${file}\n@@ -1,3 +1,3 @@\n top\n-${from}\n+${to}\n end\n`;

async function treeOf(files: Record<string, string>): Promise<SourceTree> {
  const dir = temporaryFolder();
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(dir, "bundle", path, ".."), { recursive: true });
    writeFileSync(join(dir, "bundle", path), text);
  }
  const components = await listComponents(dir);
  return { dir, components, identity: {} as SourceTree["identity"] };
}

function seriesOf(patches: Record<string, [component: string, diff: string]>, below = "") {
  const folder = temporaryFolder();
  const lines = Object.entries(patches).map(([name, [component, diff]]) => {
    writeFileSync(join(folder, name), diff);
    return `${component} ${name}${below}`;
  });
  writeFileSync(join(folder, "series"), `# a comment\n\n${lines.join("\n")}\n`);
  return readSeries(folder);
}

const files = { "nginx-1.2.3/a.c": "top\nold\nend\n", "ngx_lua-0.1/config": "top\nold\nend\n" };
const read = (tree: SourceTree, path: string) =>
  readFileSync(join(tree.dir, "bundle", path), "utf8");

test("patches every component of the series", async () => {
  const tree = await treeOf(files);
  const series = await seriesOf({
    "1.patch": ["nginx", diffOf("a.c", "old", "new")],
    "2.patch": ["ngx_lua", diffOf("config", "old", "new")],
  });
  const patched = await patchTree(tree, series, stepContext());
  expect(read(tree, "nginx-1.2.3/a.c")).toBe("top\nnew\nend\n");
  expect(read(tree, "ngx_lua-0.1/config")).toBe("top\nnew\nend\n");
  expect(Object.keys(patched.patches)).toEqual(["1.patch", "2.patch"]);
});

test("writes nothing when the last patch does not fit, and shows its hunk", async () => {
  const tree = await treeOf(files);
  const series = await seriesOf({
    "1.patch": ["nginx", diffOf("a.c", "old", "new")],
    "2.patch": ["ngx_lua", diffOf("config", "other", "new")],
  });
  await expect(patchTree(tree, series, stepContext())).rejects.toMatchObject({
    code: "patch-failed",
    message: "2.patch does not fit ngx_lua 0.1: config",
    hint: expect.stringContaining("-other\n+new"),
  });
  expect(read(tree, "nginx-1.2.3/a.c")).toBe("top\nold\nend\n");
});

test("recognises a tree that is already patched, by us or by hand", async () => {
  const tree = await treeOf({ ...files, "nginx-1.2.3/a.c": "top\nnew\nend\n" });
  const series = await seriesOf({ "1.patch": ["nginx", diffOf("a.c", "old", "new")] });
  for (const _run of [1, 2]) {
    const step = stepContext();
    await patchTree(tree, series, step);
    expect(step.notes).toEqual(["1 patches, already applied to 1 of 1 files"]);
    expect(read(tree, "nginx-1.2.3/a.c")).toBe("top\nnew\nend\n");
  }
});

test("does not patch a second time what was changed after it was patched", async () => {
  const tree = await treeOf(files);
  const series = await seriesOf({ "1.patch": ["nginx", diffOf("a.c", "old", "new")] });
  await patchTree(tree, series, stepContext());
  writeFileSync(join(tree.dir, "bundle/nginx-1.2.3/a.c"), "top\nold\nend\n");
  await expect(patchTree(tree, series, stepContext())).rejects.toThrow("was changed afterwards");
});

test("two patches of one file build on each other", async () => {
  const tree = await treeOf(files);
  const series = await seriesOf({
    "1.patch": ["nginx", diffOf("a.c", "old", "new")],
    "2.patch": ["nginx", diffOf("a.c", "new", "newest")],
  });
  await patchTree(tree, series, stepContext());
  expect(read(tree, "nginx-1.2.3/a.c")).toBe("top\nnewest\nend\n");
});

test("names the component that a tree lacks", async () => {
  const tree = await treeOf({ "nginx-1.2.3/a.c": "" });
  const series = await seriesOf({ "1.patch": ["ngx_lua", diffOf("config", "old", "new")] });
  await expect(patchTree(tree, series, stepContext())).rejects.toThrow(
    "no directory bundle/ngx_lua-",
  );
});

test("the shipped series can be read and names four patches", async () => {
  const { patches } = await readSeries(join(repository, "patches"));
  const named = patches.map(({ component, below }) => [component, below]);
  expect(named).toEqual([
    ["ngx_lua", undefined],
    ["lua-resty-core", undefined],
    ["nginx", undefined],
    ["lua-cjson", "2.1.0.13"],
  ]);
});

describe("a fix for old versions", () => {
  const fix = `Fixes it (CVE-2022-24834)\n${diffOf("strbuf.c", "old", "new")}`;
  const patched = async (path: string, parts: SourcePart[] = []) => {
    const tree = await treeOf({ [path]: "top\nold\nend\n" });
    const series = await seriesOf({ "1.patch": ["lua-cjson", fix] }, " 2.1.0.13");
    const identity = { ...tree.identity, parts };
    const { patches } = await patchTree({ ...tree, identity }, series, stepContext());
    return { patches: Object.keys(patches), text: read(tree, path) };
  };

  test.each(["2.1.0", "2.1.0.10", "2.1.0.12"])("patches %s", async (version) => {
    const { patches, text } = await patched(`lua-cjson-${version}/strbuf.c`);
    expect(text).toBe("top\nnew\nend\n");
    expect(patches).toEqual(["1.patch"]);
  });

  test.each([
    ["a version that has it", "lua-cjson-2.1.0.13/strbuf.c"],
    ["a newer version", "lua-cjson-2.1.0.14/strbuf.c"],
    ["a source without the component", "nginx-1.2.3/strbuf.c"],
  ])("leaves %s alone", async (_name, path) => {
    expect(await patched(path)).toEqual({ patches: [], text: "top\nold\nend\n" });
  });

  test("leaves alone what the distribution has fixed", async () => {
    const part = { component: "lua-cjson", version: "2.1.0-3", archives: [] };
    const path = "lua-cjson-2.1.0/strbuf.c";
    const fixed = await patched(path, [{ ...part, patches: ["CVE-2022-24834.patch"] }]);
    expect(fixed).toEqual({ patches: [], text: "top\nold\nend\n" });
    const other = await patched(path, [{ ...part, patches: ["CVE-2000-0001.patch"] }]);
    expect(other.patches).toEqual(["1.patch"]);
  });
});

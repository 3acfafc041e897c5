import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { listComponents, requireComponent } from "../../../src/pipeline/components.js";
import { temporaryFolder } from "../../support/temporary.js";

function treeWith(folders: string[], files: string[] = []): string {
  const tree = temporaryFolder();
  for (const folder of folders) mkdirSync(join(tree, "bundle", folder), { recursive: true });
  for (const file of files) writeFileSync(join(tree, "bundle", file), "");
  return tree;
}

test("finds components by name, whatever their version looks like", async () => {
  const tree = treeWith([
    "nginx-1.27.1",
    "ngx_lua-0.10.30rc2",
    "ngx_lua_upstream-0.07",
    "LuaJIT-2.1-20240815",
    "redis2-nginx-module-0.15",
  ]);
  const components = await listComponents(tree);
  expect(components.map(({ name, version }) => `${name} ${version}`)).toEqual([
    "LuaJIT 2.1-20240815",
    "nginx 1.27.1",
    "ngx_lua 0.10.30rc2",
    "ngx_lua_upstream 0.07",
    "redis2-nginx-module 0.15",
  ]);
});

test("does not take the file nginx-VERSION-no_pool.patch for nginx", async () => {
  const tree = treeWith(["nginx-1.27.1"], ["nginx-1.27.1-no_pool.patch"]);
  const nginx = requireComponent(await listComponents(tree), "nginx");
  expect(nginx.dir).toBe(join(tree, "bundle/nginx-1.27.1"));
});

test("says which component is missing or there twice", async () => {
  const components = await listComponents(treeWith(["nginx-1.27.1", "nginx-1.26.3"]));
  expect(() => requireComponent(components, "ngx_lua")).toThrow(
    "no directory bundle/ngx_lua-VERSION",
  );
  expect(() => requireComponent(components, "nginx")).toThrow(
    "has 2 directories bundle/nginx-VERSION",
  );
});

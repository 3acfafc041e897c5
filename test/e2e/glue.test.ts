// The files of the glue need each other one way: seen by the symbols of the objects that the build of
// the tests leaves behind.
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { callsBetweenObjects } from "../support/c-objects.js";
import { cycleIn } from "../support/cycles.js";
import { anySuite, builtOpenresty } from "../support/openresty.js";

/** Where nginx's make has put the objects of ngx_lua, to which the glue belongs. */
function objectsOf(prefix: string): string {
  const build = join(dirname(prefix), "work/tree/build");
  const nginx = readdirSync(build).find((name) => /^nginx-[\d.]+$/.test(name));
  return join(build, nginx ?? "", "objs/addon/src");
}

test("the glue has no cycle", async ({ skip }) => {
  const prefix = await builtOpenresty(anySuite);
  const objects = objectsOf(prefix);
  if (process.env.NFFI_TEST_PREFIX && !existsSync(objects)) skip("the product has no objects");
  const calls = callsBetweenObjects(objects, /^ngx_http_lua_(nffi_|nonblocking_ffi).*\.o$/);
  expect(calls.get("ngx_http_lua_nonblocking_ffi.o")?.length).toBeGreaterThan(3);
  expect(cycleIn(calls)).toEqual([]);
});

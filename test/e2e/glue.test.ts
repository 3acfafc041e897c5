// The sources of the glue, checked with the configured nginx that the build of the tests leaves
// behind: no call cycle (by the symbols of the objects), and no finding of clang-tidy.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { callsBetweenObjects } from "../support/c-objects.js";
import { repository } from "../support/cli.js";
import { cycleIn } from "../support/cycles.js";
import { anySuite, builtOpenresty } from "../support/openresty.js";

/** The configured source directory of the nginx that was built for `prefix`. */
function nginxOf(prefix: string): string {
  const build = join(dirname(prefix), "work/tree/build");
  const nginx = existsSync(build)
    ? readdirSync(build).find((name) => /^nginx-[\d.]+$/.test(name))
    : undefined;
  return join(build, nginx ?? "nginx");
}

test("the glue has no cycle", async ({ skip }) => {
  const prefix = await builtOpenresty(anySuite);
  const objects = join(nginxOf(prefix), "objs/addon/src");
  if (process.env.NFFI_TEST_PREFIX && !existsSync(objects)) skip("the product has no objects");
  const calls = callsBetweenObjects(objects, /^ngx_http_lua_(nffi_|nonblocking_ffi).*\.o$/);
  expect(calls.get("ngx_http_lua_nonblocking_ffi.o")?.length).toBeGreaterThan(3);
  expect(cycleIn(calls)).toEqual([]);
});

test("clang-tidy finds nothing in the glue", { timeout: 600_000 }, async ({ skip }) => {
  const nginx = nginxOf(await builtOpenresty(anySuite));
  if (process.env.NFFI_TEST_PREFIX && !existsSync(nginx)) skip("the product has no nginx source");
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["scripts/lint.mjs", "clang-tidy glue"],
    { cwd: repository, encoding: "utf8", env: { ...process.env, NFFI_LINT_NGINX: nginx } },
  );
  if (status === 4) return skip(stderr);
  expect(stdout + stderr).toBe("clang-tidy glue: ok\n");
});

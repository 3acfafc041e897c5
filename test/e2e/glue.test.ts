// The sources of the glue, checked with the configured nginx that the build of the tests leaves
// behind: no call cycle (by the symbols of the objects), and no finding of clang-tidy.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { callsBetweenObjects } from "../support/c-objects.js";
import { repository } from "../support/cli.js";
import { withCompileCache } from "../support/compile-cache.js";
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

const INCLUDED = [
  ...["src/core", "src/event", "src/event/modules", "src/event/quic", "src/os/unix"],
  ...["src/http", "src/http/modules", "src/http/v2", "src/http/v3", "objs"],
];

test("the attached glue has no cycle", { timeout: 300_000 }, async ({ skip }) => {
  const nginx = nginxOf(await builtOpenresty(anySuite));
  if (process.env.NFFI_TEST_PREFIX && !existsSync(nginx)) skip("the product has no nginx source");
  const objects = mkdtempSync(join(tmpdir(), "nffi-attached-glue-"));
  try {
    const includes = INCLUDED.map((directory) => `-I${join(nginx, directory)}`).join(" ");
    const make = ["-C", "c-src", "glue", `BUILD_DIR=${objects}`, `NGINX_INCS=${includes}`];
    const { status, stderr } = spawnSync("make", [...make, "CFLAGS=-O0"], {
      cwd: repository,
      encoding: "utf8",
      env: { ...process.env, ...withCompileCache },
    });
    expect(status, stderr).toBe(0);
    const calls = callsBetweenObjects(join(objects, "glue"));
    expect(calls.get("ngx_http_lua_nffi_attached.o")?.length).toBeGreaterThan(3);
    expect(cycleIn(calls)).toEqual([]);
  } finally {
    rmSync(objects, { recursive: true, force: true });
  }
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

// `nffi patch --check` and `nffi build --patch` through the real CLI.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCli } from "../support/cli.js";
import { makeFakeRelease, WITHOUT_JAVA } from "../support/fake-release.js";
import { temporaryFolder } from "../support/temporary.js";

const EXTRA = { "bundle/nginx-1.99.0/src/extra.c": "before\n" };
const diff = (from: string) =>
  `--- a/src/extra.c\n+++ b/src/extra.c\n@@ -1 +1 @@\n-${from}\n+after\n`;

function place() {
  const folder = temporaryFolder();
  const tree = makeFakeRelease(join(folder, "tree"), { configure: "exit 3", files: EXTRA });
  const patch = (from: string) => {
    writeFileSync(join(folder, "mine.patch"), diff(from));
    return join(folder, "mine.patch");
  };
  return { folder, tree, patch };
}

test("--check reports for each file whether its patch applies", async () => {
  const { tree, patch } = place();
  const fits = await runCli(["patch", "--check", tree, "--patch", patch("before")]);
  expect(fits.exitCode).toBe(0);
  expect(fits.stdout).toContain("fits  0001-ngx_lua-config-register-glue.patch");
  expect(fits.stdout).toContain("nginx 1.99.0 src/extra.c");
  expect(readFileSync(join(tree, "bundle/nginx-1.99.0/src/extra.c"), "utf8")).toBe("before\n");

  const misfit = await runCli(["patch", "--check", tree, "--patch", patch("other")]);
  expect(misfit.exitCode).toBe(9);
  expect(misfit.stdout).toMatch(/^does not fit +mine.patch +nginx 1.99.0 src\/extra.c$/m);
  expect(misfit.stderr).toContain("-other");
  expect(misfit.stderr).toContain("the nearest supported release is 1.31.1.1");
});

test("--check of a directory that is no OpenResty says so", async () => {
  const result = await runCli(["patch", "--check", temporaryFolder()]);
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toContain('it has no "bundle"');
});

test("build --patch applies the user's patch after ours", async () => {
  const { folder, tree, patch } = place();
  const folders = ["--prefix", join(folder, "prefix"), "--work-dir", join(folder, "work")];
  const args = ["build", "--source", tree, "--keep", ...folders];
  const built = await runCli([...args, "--patch", patch("before")], { env: WITHOUT_JAVA });
  expect(built.stdout).toContain("apply the patches: 4 patches");
  const patched = join(folder, "work/tree/bundle/nginx-1.99.0/src/extra.c");
  expect(readFileSync(patched, "utf8")).toBe("after\n");
});

test("build --patch writes nothing when the user's patch does not fit", async () => {
  const { folder, tree, patch } = place();
  const folders = ["--prefix", join(folder, "prefix"), "--work-dir", join(folder, "work")];
  const args = ["build", "--source", tree, ...folders];
  const failed = await runCli([...args, "--patch", patch("other")]);
  expect(failed.exitCode).toBe(9);
  expect(failed.stderr).toContain("mine.patch does not fit nginx 1.99.0: src/extra.c");
  expect(existsSync(join(folder, "prefix"))).toBe(false);
  const missing = await runCli([...args, "--patch", join(folder, "no.patch")]);
  expect(missing.exitCode).toBe(2);
  expect(missing.stderr).toContain("cannot read");
});

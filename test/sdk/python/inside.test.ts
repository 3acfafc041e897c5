// Parts of PREFIX/nffi/python by themselves, without nginx: over the real queue, and without one.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../../support/cli.js";
import { builtOpenresty } from "../../support/openresty.js";
import { systemPython } from "./python.js";

test.each(["test_loop", "test_lines", "test_context", "test_failing"])("%s.py", async (name) => {
  const env = { ...process.env, PYTHONPATH: `${await builtOpenresty()}/nffi/python` };
  const cwd = join(repository, "test/sdk/python/fixtures");
  const run = () =>
    execFileSync(systemPython, ["-B", "-m", "unittest", name], { cwd, env, stdio: "pipe" });
  expect(run).not.toThrow();
});

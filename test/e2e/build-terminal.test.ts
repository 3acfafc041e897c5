// On a terminal the steps are rows that are redrawn; `script` gives the CLI a terminal.
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository, runProgram } from "../support/cli.js";
import { makeFakeRelease } from "../support/fake-release.js";
import { temporaryFolder } from "../support/temporary.js";

test("a failed step is marked, what was not reached is not, and the error comes last", async () => {
  const folder = temporaryFolder();
  const tree = makeFakeRelease(join(folder, "tree"), { configure: "exit 3" });
  const build = `${process.execPath} ${repository}/bin/nffi.mjs build --source ${tree}`;
  const folders = `--prefix ${folder}/prefix --work-dir ${folder}/work`;
  const command = `stty cols 100 rows 40; ${build} ${folders}`;
  const shown = await runProgram("script", ["-qec", command, "/dev/null"], {
    env: { TERM: "xterm", CI: undefined, NO_COLOR: "1" },
  });
  const screen = shown.stdout;
  expect(shown.exitCode).toBe(11);
  expect(screen).toContain("✔ apply the patches: 3 patches");
  expect(screen).toContain("✖ configure OpenResty");
  expect(screen).not.toContain("✔ compile OpenResty");
  expect(screen.lastIndexOf("nffi: configure failed")).toBeGreaterThan(screen.lastIndexOf("✖"));
});

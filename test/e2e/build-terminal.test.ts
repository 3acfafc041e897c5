// On a terminal the steps are rows that are redrawn; `script` provides the CLI with a terminal.
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { expect, test } from "vitest";
import { repository, runProgram } from "../support/cli.js";
import { makeFakeRelease, WITHOUT_JAVA } from "../support/fake-release.js";
import { temporaryFolder } from "../support/temporary.js";

test("a failed step is marked, what was not reached is not, and the error comes last", async () => {
  const folder = temporaryFolder();
  const tree = makeFakeRelease(join(folder, "tree"), { configure: "exit 3" });
  const build = `${process.execPath} ${repository}/bin/nffi.mjs build --source ${tree}`;
  const folders = `--prefix ${folder}/prefix --work-dir ${folder}/work`;
  const command = `stty cols 100 rows 40; ${build} ${folders}`;
  const shown = await runProgram("script", ["-qec", command, "/dev/null"], {
    env: { ...WITHOUT_JAVA, TERM: "xterm", CI: undefined, NO_COLOR: "1" },
  });
  const screen = shown.stdout;
  expect(shown.exitCode).toBe(11);
  expect(screen).toContain("✔ apply the patches: 3 patches");
  expect(screen).toContain("✖ configure OpenResty");
  expect(screen).not.toContain("✔ compile OpenResty");
  expect(screen.lastIndexOf("nffi: configure failed")).toBeGreaterThan(screen.lastIndexOf("✖"));
});

test("a row stays one line of a narrow terminal, whatever a program prints", async () => {
  const folder = temporaryFolder();
  const long = "日本語\\t\\033[31mwide\\033[0m ".repeat(20);
  const configure = `printf '${long}\\n'; sleep 0.5; printf '${long}\\r${long}'; sleep 0.5; exit 3`;
  const tree = makeFakeRelease(join(folder, "tree"), { configure });
  const build = `${process.execPath} ${repository}/bin/nffi.mjs build --source ${tree}`;
  const folders = `--prefix ${folder}/prefix --work-dir ${folder}/work`;
  const command = `stty cols 50 rows 40; ${build} ${folders}`;
  const shown = await runProgram("script", ["-qec", command, "/dev/null"], {
    env: { ...WITHOUT_JAVA, TERM: "xterm", CI: undefined, NO_COLOR: "1" },
  });
  const [rows = ""] = shown.stdout.split("nffi: configure failed");
  expect(rows).toContain("日本語");
  expect(rows).not.toContain("\t");
  const lines = stripVTControlCharacters(rows).split(/[\r\n]+/);
  const width = (line: string) => line.length + (line.match(/[\u3000-\u9fff]/g) ?? []).length;
  expect(lines.filter((line) => width(line) > 50)).toEqual([]);
  // A row begins with its sign; one that was wrapped goes on without.
  const isRow = (line: string) => /^\s*[✔✖◼❯›\u2800-\u28ff]/.test(line);
  expect(lines.filter((line) => line.trim() !== "" && !isRow(line))).toEqual([]);
});

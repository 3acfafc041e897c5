// The Go package as installed in a prefix, with its own tests: each must pass the race detector.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { repository, runProgram } from "../../support/cli.js";
import { withCompileCache } from "../../support/compile-cache.js";

const sources = join(repository, "c-src/sdk/go");
const folder = join(repository, ".nffi/test/go");
const installed = join(folder, "prefix/nffi/go");

const minor = Number(/go1\.(\d+)/.exec(execFileSync("go", ["version"], { encoding: "utf8" }))?.[1]);

/** A file may ask for a newer Go than Debian's oldest. */
function isForThisGo(name: string): boolean {
  const wanted = /^\/\/go:build go1\.(\d+)$/m.exec(readFileSync(join(sources, name), "utf8"));
  return wanted === null || Number(wanted[1]) <= minor;
}

const testFiles = readdirSync(sources, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith("_test.go"))
  .filter(isForThisGo);

/** The names in the sources, so that one that never ran fails here. */
const names = testFiles.flatMap((file) => {
  const text = readFileSync(join(sources, file), "utf8");
  return [...text.matchAll(/^func (Test\w+)\(t \*testing\.T\)/gm)].map((match) => match[1] ?? "");
});

const go = (...args: string[]) => runProgram("go", args, { cwd: installed });

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  rmSync(installed, { recursive: true, force: true });
  const args = [
    ...["-s", "-C", join(repository, "c-src"), "all", "install"],
    ...[`BUILD_DIR=${folder}/build`, `PREFIX=${folder}/prefix`],
  ];
  const made = await runProgram("make", args, { env: withCompileCache });
  expect(made.stderr).toBe("");
  // a prefix has none of the package's own tests
  expect(readdirSync(installed, { recursive: true }).join("\n")).not.toContain("_test.go");
  for (const file of testFiles) cpSync(join(sources, file), join(installed, file));
});

test("is formatted, and go vet finds nothing", async () => {
  const formatted = await runProgram("gofmt", ["-l", sources]);
  expect(formatted.stdout).toBe("");
  const vetted = await go("vet", "./...");
  expect(vetted.stderr).toBe("");
});

describe("its own tests, under the race detector", () => {
  const verdicts = new Map<string, string>();
  let output = "";

  beforeAll(async () => {
    const ran = await go("test", "-race", "-count=1", "-v", "./...");
    output = ran.stdout + ran.stderr;
    for (const [, verdict = "", name = ""] of output.matchAll(/^--- (\w+): (Test\w+)/gm)) {
      verdicts.set(name, verdict);
    }
  });

  test.each(names)("%s", (name) => {
    expect(verdicts.get(name), output).toBe("PASS");
  });
});

test("is found by pkg-config, too", async () => {
  const built = await runProgram("go", ["build", "-tags", "nffi_pkgconfig", "./..."], {
    cwd: installed,
    env: { PKG_CONFIG_PATH: join(folder, "prefix/nffi/lib/pkgconfig") },
  });
  expect(built.stderr).toBe("");
  expect(built.exitCode).toBe(0);
});

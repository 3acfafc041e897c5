// The Python package as installed in a prefix, with its own tests: no nginx, the Python of this
// machine.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { repository, runProgram } from "../../support/cli.js";
import { withCompileCache } from "../../support/compile-cache.js";

const tests = join(repository, "c-src/sdk/python/test");
const folder = join(repository, ".nffi/test/python-package");

/** The tests in the sources, by file, so that one that never ran fails here. */
const names = readdirSync(tests)
  .filter((file) => /^test_\w+\.py$/.test(file))
  .flatMap((file) => namesIn(file));

/** "test_failure.Message.test_class_and_text"; a class has the tests of one that it extends. */
function namesIn(file: string): string[] {
  const own = new Map<string, string[]>();
  let current: string[] = [];
  const text = readFileSync(join(tests, file), "utf8");
  for (const [, name, parent = "", method] of text.matchAll(
    /^class (\w+)\((\w+)?.*\):|^ {4}def (test_\w+)/gm,
  )) {
    if (name === undefined) current.push(method ?? "");
    else {
      current = [...(own.get(parent) ?? [])];
      own.set(name, current);
    }
  }
  const module = file.slice(0, -".py".length);
  return [...own].flatMap(([name, methods]) => methods.map((one) => `${module}.${name}.${one}`));
}

const verdicts = new Map<string, string>();
let output = "";

beforeAll(async () => {
  rmSync(join(folder, "prefix"), { recursive: true, force: true });
  const args = [
    ...["-s", "-C", join(repository, "c-src"), "all", "install"],
    ...[`BUILD_DIR=${folder}/build`, `PREFIX=${folder}/prefix`],
  ];
  const made = await runProgram("make", args, { env: withCompileCache });
  expect(made.stderr).toBe("");
  const ran = await runProgram("python3", ["-W", "error", "-m", "unittest", "-v"], {
    cwd: tests,
    env: { PYTHONPATH: join(folder, "prefix/nffi/python"), PYTHONDONTWRITEBYTECODE: "1" },
  });
  output = ran.stdout + ran.stderr;
  for (const [, method, path = "", verdict = ""] of output.matchAll(
    /^(test_\w+) \(([\w.]+)\)(?:\n.*)?? \.\.\. (\w+)/gm,
  )) {
    // Python 3.11 and later add the method to the path
    verdicts.set(path.endsWith(`.${method}`) ? path : `${path}.${method}`, verdict);
  }
});

test.each(names)("%s", (name) => {
  expect(verdicts.get(name), output).toBe("ok");
});

test("has no test that is not listed here", () => {
  expect([...verdicts.keys()].sort()).toEqual([...names].sort());
  expect(output).toMatch(/\nOK\n$/);
});

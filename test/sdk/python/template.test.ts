// `nffi new-runtime --lang python` as a user meets it: the project it makes does what the printed
// lines say, its own tests pass, also in a virtual environment and in the worker.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { expectPrintedLines, generatedProject } from "../../support/generated-project.js";
import { expectMakeDev } from "../../support/make-dev.js";
import { runWorkflow } from "../../support/workflow.js";
import { makeVenv, systemPython } from "./python.js";

const ENV = { PYTHON: systemPython, NFFI_PREFIX: undefined };

const greeter = generatedProject({ language: "python", env: ENV });
const { project, shell, change } = greeter;

test("answers after the lines that were printed", () => void expectPrintedLines(greeter));

test("its CI file passes: linters, mypy, tests of the functions alone and through nginx", () => {
  const { output, cacheKey, folder } = runWorkflow(project, greeter.prefix);
  expect(cacheKey).toMatch(/^openresty-[0-9a-f]{64}$/);
  expect(output).toMatch(/Success: no issues found in \d source files/);
  expect(output).toContain("All checks passed!");
  expect(output).toMatch(/5 passed/);
  expect(output).toMatch(/Ran 4 tests in .*\n\nOK/);

  // the types of nffi are found, and it can be imported from anywhere
  const handlers = join(folder, "src/greeter/handlers.py");
  const text = readFileSync(handlers, "utf8");
  writeFileSync(
    handlers,
    text.replace('context.log.info("waits %s ms"', 'context.log.inform("waits"'),
  );
  const misused = shell(["make lint"], folder, { PYTHON: undefined });
  expect(misused.stdout).toMatch(/"Log" has no attribute "inform"/);
  const program = "import nffi, greeter.handlers; nffi.config(1)";
  const checked = shell([`cd /; ${folder}/.venv/bin/python -m mypy --strict -c '${program}'`], "/");
  expect(checked.stdout).toContain('Too many arguments for "config"');
  expect(shell([`${folder}/.venv/bin/python -c 'import nffi, greeter.handlers'`], "/").stderr).toBe(
    "",
  );
});

test("its tests fail when the code is wrong", () => {
  change("src/greeter/handlers.py", "['greeting']} {name}", "['greeting']}{name}");
  const alone = shell(["make test"]);
  expect(alone.stdout + alone.stderr).toContain("{'greeting': 'welcomeAda'}");
  const throughNginx = shell(["make e2e"]);
  expect(throughNginx.stderr).toContain("FAIL: test_hello_answers");
  expect([alone.status, throughNginx.status]).not.toContain(0);
});

test("make lint finds what cannot be compiled", () => {
  change("src/greeter/handlers.py", "async def wait(", "async def wait((");
  const ran = shell(["make lint"]);
  expect(ran.stdout + ran.stderr).toContain("SyntaxError");
  expect(ran.status).not.toBe(0);
});

test("the same answers in the worker, and by the Python of .venv", () => {
  onTestFinished(() => rmSync(join(project, ".venv"), { recursive: true }));
  makeVenv(join(project, ".venv"), "--without-pip");
  change("lua/runtime.lua", 'host = "process"', 'host = "worker"');
  change(
    "src/greeter/handlers.py",
    "import nffi\n",
    "import nffi\nimport sys; print(sys.prefix)\n",
  );
  const ran = shell(["make e2e"]);
  expect(ran.stderr).toMatch(/Ran 4 tests in .*\n\nOK/);
  const log = readFileSync(join(project, "run-test/logs/error.log"), "utf8");
  expect(log).toMatch(/\[notice\] .*greeter.*\.venv/);
});

test("make dev answers with the new code after a change, and ends all of it", () =>
  expectMakeDev({
    project,
    env: ENV,
    source: "src/greeter/handlers.py",
    broken: ["def hello(", "def hello(("],
    complaint: /SyntaxError/,
    changed: ["['greeting']} {name}", "['greeting']}, dear {name}"],
  }));

// `nffi new-runtime --lang go` as a user meets it: the project it makes does what the printed lines
// say, its own tests pass, and nothing is downloaded for it.
import { spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { expectPrintedLines, generatedProject } from "../../support/generated-project.js";
import { expectMakeDev } from "../../support/make-dev.js";
import { temporaryFolder } from "../../support/temporary.js";
import { runWorkflow } from "../../support/workflow.js";

// Go may download nothing
const ENV = { GOPROXY: "off", GOFLAGS: "-mod=mod", NFFI_PREFIX: "" };

const greeter = generatedProject({ language: "go", env: ENV });
const { project, shell, change } = greeter;

test("answers after the lines that were printed", () => void expectPrintedLines(greeter));

test("its CI file passes: linter, tests of the handlers alone and through nginx", () => {
  const { output, cacheKey } = runWorkflow(project, greeter.prefix, { env: ENV });
  expect(cacheKey).toMatch(/^openresty-[0-9a-f]{64}$/);
  expect(output).toMatch(/^ok\s+example\.com\/greeter\/handlers/m);
  expect(output).toMatch(/^ok\s+example\.com\/greeter\s/m);
});

test("its tests fail when the code is wrong", () => {
  change("handlers/handlers.go", 'Greeting + " " + name', "Greeting + name");
  const alone = shell(["make test"]);
  expect(alone.stdout).toContain("--- FAIL: TestHelloGreets");
  const throughNginx = shell(["make e2e"]);
  expect(throughNginx.stdout).toContain("--- FAIL: TestThroughNginx/GET_/hello_answers");
  expect([alone.status, throughNginx.status]).not.toContain(0);
});

test("the program serves as a process with the same answers", () => {
  change(
    "lua/runtime.lua",
    "nffi.load(LIBRARY, {",
    'nffi.load("process", { program = "../build/greeter",',
  );
  const ran = shell(["make e2e"]);
  expect(ran.stdout).toMatch(/^ok\s+example\.com\/greeter\s/m);
});

test("make start says that it runs already, and names a port that another program uses", async () => {
  const twice = shell(["make start", "make start"]);
  expect(twice.stderr).toContain("nginx already runs in run/");
  shell(["make stop"]);
  const other = createServer();
  await new Promise<void>((done) => other.listen(0, "127.0.0.1", done));
  onTestFinished(() => void other.close());
  const { port } = other.address() as { port: number };
  const busy = shell([`make start PORT=${port}`]);
  expect(busy.stderr).toContain(`port ${port} is used by another program`);
  expect([twice.status, busy.status]).not.toContain(0);
  expect(shell(["make stop"]).stdout).toContain("no nginx runs in run/");
});

test("make dev answers with the new code after a change, and ends all of it", () =>
  expectMakeDev({
    project,
    source: "handlers/handlers.go",
    broken: ["return helloResponse{", "return helloResponse"],
    complaint: /syntax error|expected|missing/,
    changed: ['Greeting + " "', 'Greeting + ", dear "'],
  }));

test("on a terminal the language is asked for; --yes takes the first", async () => {
  const cwd = temporaryFolder();
  const cli = `${process.execPath} ${join(import.meta.dirname, "../../../bin/nffi.mjs")}`;
  const ask = (more: string, answers: string) => {
    const command = `printf '${answers}' | script -qec "${cli} new-runtime a --dry-run --prefix ${greeter.prefix} ${more}" /dev/null`;
    return spawnSync("sh", ["-c", command], { cwd, encoding: "utf8" }).stdout;
  };
  const asked = ask("", "cobol\\n2\\n");
  expect(asked).toContain("1  TypeScript");
  expect(asked).toContain("answer with a number from 1 to");
  expect(asked).toMatch(/would make \S+ \(Go\)/);
  expect(ask("", "\\n")).toContain("(TypeScript)");
  expect(ask("--yes", "")).toMatch(/^using .*\r?\nwould make \S+ \(TypeScript\)/);
});

// `nffi new-runtime --lang go` as a user meets it: the project it makes does what the printed lines
// say, its own tests pass, and nothing is downloaded for it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../src/io/port.js";
import { runCli } from "../../support/cli.js";
import { expectMakeDev } from "../../support/make-dev.js";
import { builtOpenresty } from "../../support/openresty.js";
import { temporaryFolder } from "../../support/temporary.js";
import { runWorkflow } from "../../support/workflow.js";

let prefix: string;
let parent: string;
let project: string;
let lines: string[];

beforeAll(async () => {
  prefix = await builtOpenresty();
  parent = mkdtempSync(join(tmpdir(), "nffi-test-"));
  project = join(parent, "greeter");
  const args = ["new-runtime", "greeter", "--lang", "go", "--prefix", prefix];
  const made = await runCli([...args, "--port", String(await freePort())], { cwd: parent });
  expect(made.stderr).toBe("");
  lines = (made.stdout.split("next:\n")[1] ?? "").trimEnd().split("\n");
});

/** One shell, as a user has, that stops at the first command that fails; Go may download nothing. */
function shell(commands: readonly string[], cwd = project) {
  const env = { ...process.env, GOPROXY: "off", GOFLAGS: "-mod=mod", NFFI_PREFIX: "" };
  return spawnSync("sh", ["-e", "-c", commands.join("\n")], { cwd, env, encoding: "utf8" });
}

afterEach(() => void shell(["make stop"]));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

test("answers after the lines that were printed", () => {
  const ran = shell(lines, parent);
  expect(ran.stdout, ran.stderr).toMatch(/nginx listens on http:\/\/127\.0\.0\.1:\d+ /);
  expect(ran.stdout).toContain("\nhello World\n");
  expect(ran.stdout).toContain("nginx has ended");
  expect(ran.status).toBe(0);
});

test("its CI file passes: linter, tests of the handlers alone and through nginx", () => {
  const env = { GOPROXY: "off", GOFLAGS: "-mod=mod", NFFI_PREFIX: "" };
  const { output, cacheKey } = runWorkflow(project, prefix, { env });
  expect(cacheKey).toMatch(/^openresty-[0-9a-f]{64}$/);
  expect(output).toMatch(/^ok\s+example\.com\/greeter\/handlers/m);
  expect(output).toMatch(/^ok\s+example\.com\/greeter\s/m);
});

test("its tests fail when the code is wrong", () => {
  const file = join(project, "handlers/handlers.go");
  const text = readFileSync(file, "utf8");
  onTestFinished(() => writeFileSync(file, text));
  writeFileSync(file, text.replace('Greeting + " " + name', "Greeting + name"));
  const alone = shell(["make test"]);
  expect(alone.stdout).toContain("--- FAIL: TestHelloGreets");
  const throughNginx = shell(["make e2e"]);
  expect(throughNginx.stdout).toContain("--- FAIL: TestThroughNginx/GET_/hello_answers");
  expect([alone.status, throughNginx.status]).not.toContain(0);
});

test("the program serves as a process with the same answers", () => {
  const file = join(project, "lua/runtime.lua");
  const text = readFileSync(file, "utf8");
  onTestFinished(() => writeFileSync(file, text));
  const asProcess = text.replace(
    "nffi.load(LIBRARY, {",
    'nffi.load("process", { program = "../build/greeter",',
  );
  writeFileSync(file, asProcess);
  expect(asProcess).not.toBe(text);
  const ran = shell(["make e2e"]);
  expect(ran.stdout).toMatch(/^ok\s+example\.com\/greeter\s/m);
});

test("make start says that it runs already, and names a port that another program uses", async () => {
  const twice = shell(["make start", "make start"]);
  expect(twice.stderr).toContain("nginx runs already in run/");
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
    broken: ["return helloReply{", "return helloReply"],
    complaint: /syntax error|expected|missing/,
    changed: ['Greeting + " "', 'Greeting + ", dear "'],
  }));

test("on a terminal the language is asked for; --yes takes the first", async () => {
  const cwd = temporaryFolder();
  const cli = `${process.execPath} ${join(import.meta.dirname, "../../../bin/nffi.mjs")}`;
  const ask = (more: string, answers: string) => {
    const command = `printf '${answers}' | script -qec "${cli} new-runtime a --dry-run --prefix ${prefix} ${more}" /dev/null`;
    return spawnSync("sh", ["-c", command], { cwd, encoding: "utf8" }).stdout;
  };
  const asked = ask("", "cobol\\n2\\n");
  expect(asked).toContain("1  TypeScript");
  expect(asked).toContain("answer with a number from 1 to");
  expect(asked).toMatch(/would make \S+ \(Go\)/);
  expect(ask("", "\\n")).toContain("(TypeScript)");
  expect(ask("--yes", "")).toMatch(/^using .*\r?\nwould make \S+ \(TypeScript\)/);
});

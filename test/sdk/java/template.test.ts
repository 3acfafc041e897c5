// `nffi new-runtime --lang java` as a user meets it: the project it makes does what the printed lines
// say, and its own tests pass, and fail when the code is wrong.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../src/io/port.js";
import { repository, runCli } from "../../support/cli.js";
import { expectMakeDev } from "../../support/make-dev.js";
import { builtOpenresty } from "../../support/openresty.js";
import { runWorkflow } from "../../support/workflow.js";

let prefix: string;
let parent: string;
let project: string;
let lines: string[];

beforeAll(async () => {
  prefix = await builtOpenresty();
  parent = mkdtempSync(join(tmpdir(), "nffi-test-"));
  project = join(parent, "greeter");
  const args = ["new-runtime", "greeter", "--lang", "java", "--prefix", prefix];
  const made = await runCli([...args, "--port", String(await freePort())], { cwd: parent });
  expect(made.stderr).toBe("");
  lines = (made.stdout.split("next:\n")[1] ?? "").trimEnd().split("\n");
});

/** What Maven downloads is kept below this repository. */
const MAVEN = join(repository, ".nffi/test/maven");
const MAVEN_ARGS = `-Dmaven.repo.local=${MAVEN}`;

/** One shell, as a user has, that stops at the first command that fails. */
function shell(commands: readonly string[], cwd = project) {
  const env = { ...process.env, MAKEFLAGS: "", MAVEN_ARGS, MAVEN_OPTS: MAVEN_ARGS };
  return spawnSync("sh", ["-e", "-c", commands.join("\n")], { cwd, env, encoding: "utf8" });
}

/** A file of the project as another one, until the test has ended. */
function change(path: string, from: string, to: string): void {
  const file = join(project, path);
  const text = readFileSync(file, "utf8");
  expect(text).toContain(from);
  onTestFinished(() => writeFileSync(file, text));
  writeFileSync(file, text.replaceAll(from, to));
}

afterEach(() => void shell(["make stop"]));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

test("answers after the lines that were printed", () => {
  const ran = shell(lines, parent);
  expect(ran.stdout).toMatch(/nginx listens on http:\/\/127\.0\.0\.1:\d+ /);
  expect(ran.stdout).toContain("\nhello World\n");
  expect(ran.stdout).toContain("nginx has ended");
  expect(ran.status, ran.stderr).toBe(0);
});

test("its CI file passes: compiler's warnings, tests, nginx", () => {
  const env = { MAKEFLAGS: "", MAVEN_ARGS, MAVEN_OPTS: MAVEN_ARGS };
  const { output, cacheKey } = runWorkflow(project, prefix, { env });
  expect(cacheKey).toMatch(/^openresty-[0-9a-f]{64}$/);
  expect(output).toMatch(/Tests run: 4, Failures: 0, .* com\.example\.AppTest/);
  expect(output).toMatch(/Tests run: 4, Failures: 0, .* com\.example\.NginxIT/);
  // nffi comes from the product; no other repository is asked for it
  const asked = readdirSync(join(MAVEN, "local/nffi/nffi/0-SNAPSHOT"));
  expect(asked).toContain("maven-metadata-nffi.xml");
  expect(asked.join()).not.toContain("central");
});

test("its tests fail when the code is wrong, and the linter when it is doubtful", () => {
  change("src/main/java/com/example/App.java", 'greeting + " " + hello', "greeting + hello");
  const alone = shell(["make test"]);
  expect(alone.stdout).toContain("helloAda".replace("hello", "welcome"));
  expect(alone.status).not.toBe(0);
  change(
    "src/main/java/com/example/JacksonCodec.java",
    "return mapper.writeValueAsBytes(value);",
    "java.util.List raw = null; return mapper.writeValueAsBytes(value);",
  );
  const linted = shell(["make lint"]);
  expect(linted.stdout).toContain("found raw type: java.util.List");
  expect(linted.status).not.toBe(0);
});

test("serves from the worker with the same answers", () => {
  change("lua/runtime.lua", 'module = "com', 'host = "worker", module = "com');
  const ran = shell(["make e2e"]);
  expect(ran.status, ran.stdout).toBe(0);
});

test("make dev answers with the new code after a change, and ends all of it", () =>
  expectMakeDev({
    project,
    env: { MAKEFLAGS: "", MAVEN_ARGS, MAVEN_OPTS: MAVEN_ARGS },
    source: "src/main/java/com/example/App.java",
    broken: ['" " + hello.name);', '" " + hello.name)'],
    complaint: /App\.java:\d+: error/,
    changed: ['" " + hello.name', '", dear " + hello.name'],
  }));

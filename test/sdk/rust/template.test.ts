// `nffi new-runtime --lang rust` as a user meets it: the project it makes does what the printed lines
// say, its own tests pass, and its CI file does.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../src/io/port.js";
import { runCli } from "../../support/cli.js";
import { expectMakeDev } from "../../support/make-dev.js";
import { builtOpenresty } from "../../support/openresty.js";
import { runWorkflow } from "../../support/workflow.js";
import { cargoEnv, rustMinor } from "./cargo.js";

// one profile for all: what is compiled is shared
const ENV = { ...cargoEnv, PROFILE: "dev", MAKEFLAGS: "" };

let prefix: string;
let parent: string;
let project: string;
let lines: string[];

beforeAll(async () => {
  prefix = await builtOpenresty();
  parent = mkdtempSync(join(tmpdir(), "nffi-test-"));
  project = join(parent, "greeter");
  const args = ["new-runtime", "greeter", "--lang", "rust", "--prefix", prefix];
  const made = await runCli([...args, "--port", String(await freePort())], { cwd: parent });
  expect(made.stderr).toBe("");
  lines = (made.stdout.split("next:\n")[1] ?? "").trimEnd().split("\n");
});

// edition 2024
const it = test.skipIf(rustMinor < 85);

/** One shell, as a user has, that stops at the first command that fails. */
function shell(commands: readonly string[], cwd = project) {
  const env = { ...process.env, ...ENV };
  return spawnSync("sh", ["-e", "-c", commands.join("\n")], { cwd, env, encoding: "utf8" });
}

afterEach(() => void shell(["make stop"]));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

it("answers after the lines that were printed", () => {
  const ran = shell(lines, parent);
  expect(ran.stdout, ran.stderr).toMatch(/nginx listens on http:\/\/127\.0\.0\.1:\d+ /);
  expect(ran.stdout).toContain("\nhello World\n");
  expect(ran.stdout).toContain("nginx has ended");
  expect(ran.status).toBe(0);
});

it("its CI file passes: linter, tests, nginx", () => {
  const { output, cacheKey } = runWorkflow(project, prefix, { env: ENV });
  expect(cacheKey).toMatch(/^openresty-[0-9a-f]{64}$/);
  expect(output).toContain("cargo clippy");
  expect(output).toContain("test handlers::tests::a_name_is_greeted ... ok");
  expect(output).toContain("test wait_ends_with_its_caller ... ok");
  expect(output).toContain("test through_nginx ... ok");
  expect(output).not.toMatch(/^warning/m);
});

it("its tests and its linter fail when the code is wrong", () => {
  const file = join(project, "src/handlers.rs");
  const text = readFileSync(file, "utf8");
  onTestFinished(() => writeFileSync(file, text));
  writeFileSync(file, text.replace('"{} {}", self.greeting', '"{}{}", self.greeting'));
  const alone = shell(["cargo test --no-fail-fast"]);
  expect(alone.stdout).toContain("test handlers::tests::a_name_is_greeted ... FAILED");
  expect(alone.stdout).toContain("test hello_greets ... FAILED");
  const throughNginx = shell(["make e2e"]);
  expect(throughNginx.stdout).toContain("test through_nginx ... FAILED");
  writeFileSync(file, text.replace("name.is_empty()", "name.len() == 0"));
  const linted = shell(["make lint"]);
  expect(linted.stderr).toContain("clippy::len-zero");
  expect([alone.status, throughNginx.status, linted.status]).not.toContain(0);
});

it("the program serves as a process with the same answers", () => {
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
  expect(ran.stdout).toContain("test through_nginx ... ok");
});

it("make dev answers with the new code after a change, and ends all of it", () =>
  expectMakeDev({
    project,
    env: { ...ENV, PROFILE: undefined },
    source: "src/handlers.rs",
    broken: ["Ok(HelloReply {", "Ok(HelloReply"],
    complaint: /cargo build --profile dev[\s\S]*^error/m,
    changed: ['"{} {}", self', '"{}, dear {}", self'],
  }));

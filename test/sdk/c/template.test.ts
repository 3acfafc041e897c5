// `nffi new-runtime --lang c` as a user meets it: the project it makes does what the printed lines
// say, its own tests pass, also under sanitizers, and its CI file does.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from "vitest";
import { freePort } from "../../../src/io/port.js";
import { runCli } from "../../support/cli.js";
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
  const args = ["new-runtime", "greeter", "--lang", "c", "--prefix", prefix];
  const made = await runCli([...args, "--port", String(await freePort())], { cwd: parent });
  expect(made.stderr).toBe("");
  lines = (made.stdout.split("next:\n")[1] ?? "").trimEnd().split("\n");
});

/** One shell, as a user has, that stops at the first command that fails. */
function shell(commands: readonly string[], cwd = project) {
  const env = { ...process.env, MAKEFLAGS: "" };
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
  expect(ran.stderr).not.toMatch(/warning|error/);
  expect(ran.stdout).toMatch(/nginx listens on http:\/\/127\.0\.0\.1:\d+ /);
  expect(ran.stdout).toContain("\nhello World\n");
  expect(ran.stdout).toContain("nginx has ended");
  expect(ran.status).toBe(0);
});

test("its CI file passes: linter, tests, sanitizers, nginx", () => {
  const { output, cacheKey } = runWorkflow(project, prefix);
  expect(cacheKey).toMatch(/^openresty-[0-9a-f]{64}$/);
  // the unit tests run twice, once of them under AddressSanitizer
  expect(output.split("ok - concurrent calls get their own responses")).toHaveLength(3);
  expect(output.split("ok - a stream goes at the pace of its reader")).toHaveLength(3);
  expect(output).toContain("-fsanitize=address,undefined");
  expect(output).toContain("ok - a slow call does not delay others");
  expect(output).not.toContain("not ok");
});

test("its unit tests pass under ThreadSanitizer", () => {
  const ran = shell(["make test-tsan"]);
  expect(ran.stderr).not.toContain("WARNING: ThreadSanitizer");
  expect(ran.stdout).toContain("ok - many wait concurrently");
  expect(ran.status).toBe(0);
});

test("its tests fail when the code is wrong", () => {
  change("src/methods.c", '"%s %.*s", config->greeting', '"%s%.*s", config->greeting');
  const alone = shell(["make test"]);
  expect(alone.stdout).toContain('not ok - expected 0 {"greeting":"welcome Ada"}');
  const throughNginx = shell(["make e2e"]);
  expect(throughNginx.stdout).toContain("not ok - GET /hello answers");
  expect(throughNginx.stdout).toContain("# got: helloAda");
  expect([alone.status, throughNginx.status]).not.toContain(0);
});

test("a leak is found by make test-asan, a race by make test-tsan", () => {
  change("src/threads.c", "config_free(&runtime->config);\n    free(runtime);\n}", "}");
  expect(shell(["make test-asan"]).stderr).toContain("LeakSanitizer: detected memory leaks");
  change(
    "src/threads.c",
    "runtime_t *runtime = data;",
    "runtime_t *runtime = data; ++*(volatile int *) &runtime->started;",
  );
  expect(shell(["make test-tsan"]).stderr).toContain("WARNING: ThreadSanitizer: data race");
});

test("the programs serve as processes with the same answers", () => {
  for (const name of ["greeter", "greeter-loop"]) {
    change(
      "lua/runtime.lua",
      `nffi.load(BUILD .. "lib${name}.so", {`,
      `nffi.load("process", { program = "../build/${name}",`,
    );
  }
  const ran = shell(["make e2e"]);
  expect(ran.stdout).toContain("ok - a slow call does not delay others");
  expect(ran.status).toBe(0);
  const alone = spawnSync(join(project, "build/greeter"), { encoding: "utf8" });
  expect(alone.stderr).toContain("this process was not started by a worker");
  expect(alone.status).toBe(2);
});

test("a missing package is reported with what to install", () => {
  change("Makefile", "PACKAGES := nffi jansson", "PACKAGES := nffi no-such-package");
  const missing = shell(["make clean", "make"]);
  expect(missing.stderr).toContain("Package no-such-package was not found");
  expect(missing.stderr).toContain("libjansson-dev");
  expect(missing.status).not.toBe(0);
});

test("a missing product is reported with what to do, which helps", () => {
  const wrong = shell(["make NFFI_PREFIX=/nowhere"]);
  expect(wrong.stderr).toContain("cannot link .nffi/openresty to NFFI_PREFIX=/nowhere");
  const none = shell(["rm .nffi/openresty", "make clean", "make"]);
  expect(none.stderr).toContain("no OpenResty in .nffi/openresty: run `nffi build` here");
  expect([wrong.status, none.status]).not.toContain(0);
  // as the hint says
  expect(shell([`make NFFI_PREFIX=${prefix} build/cflags`]).status).toBe(0);
  expect(readlinkSync(join(project, ".nffi/openresty"))).toBe(prefix);
});

test("make dev answers with the new code after a change, and ends all of it", () =>
  expectMakeDev({
    project,
    source: "src/methods.c",
    broken: ["static json_t *\nhello(", "static json_t\nhello("],
    complaint: /error:/,
    changed: ['"%s %.*s", config', '"%s, dear %.*s", config'],
  }));

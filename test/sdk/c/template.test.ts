// `nffi new-runtime --lang c` as a user meets it: the project it makes does what the printed lines
// say, its own tests pass, also under sanitizers, and its CI file does.
import { spawnSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { expectPrintedLines, generatedProject } from "../../support/generated-project.js";
import { expectMakeDev } from "../../support/make-dev.js";
import { runWorkflow } from "../../support/workflow.js";

const greeter = generatedProject({ language: "c", env: { MAKEFLAGS: "" } });
const { project, shell, change } = greeter;

test("answers after the lines that were printed", () => {
  expect(expectPrintedLines(greeter).stderr).not.toMatch(/warning|error/);
});

test("its CI file passes: linter, tests, sanitizers, nginx", () => {
  const { output, cacheKey } = runWorkflow(project, greeter.prefix);
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
  expect(shell([`make NFFI_PREFIX=${greeter.prefix} build/cflags`]).status).toBe(0);
  expect(readlinkSync(join(project, ".nffi/openresty"))).toBe(greeter.prefix);
});

test("make dev answers with the new code after a change, and ends all of it", () =>
  expectMakeDev({
    project,
    source: "src/methods.c",
    broken: ["static json_t *\nhello(", "static json_t\nhello("],
    complaint: /error:/,
    changed: ['"%s %.*s", config', '"%s, dear %.*s", config'],
  }));

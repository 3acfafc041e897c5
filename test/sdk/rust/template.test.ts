// `nffi new-runtime --lang rust` as a user meets it: the project it makes does what the printed
// lines say, its own tests pass, and its CI file does.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { expectPrintedLines, generatedProject } from "../../support/generated-project.js";
import { expectMakeDev } from "../../support/make-dev.js";
import { runWorkflow } from "../../support/workflow.js";
import { cargoEnv, rustMinor } from "./cargo.js";

// one profile for all: what is compiled is shared
const ENV = { ...cargoEnv, PROFILE: "dev", MAKEFLAGS: "" };

const greeter = generatedProject({ language: "rust", env: ENV });
const { project, shell, change } = greeter;

// edition 2024
const it = test.skipIf(rustMinor < 85);

it("answers after the lines that were printed", () => void expectPrintedLines(greeter));

it("its CI file passes: linter, tests, nginx", () => {
  const { output, cacheKey } = runWorkflow(project, greeter.prefix, { env: ENV });
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
  change(
    "lua/runtime.lua",
    "nffi.load(LIBRARY, {",
    'nffi.load("process", { program = "../build/greeter",',
  );
  const ran = shell(["make e2e"]);
  expect(ran.stdout).toContain("test through_nginx ... ok");
});

it("make dev answers with the new code after a change, and ends all of it", () =>
  expectMakeDev({
    project,
    env: { ...ENV, PROFILE: undefined },
    source: "src/handlers.rs",
    broken: ["Ok(HelloResponse {", "Ok(HelloResponse"],
    complaint: /cargo build --profile dev[\s\S]*^error/m,
    changed: ['"{} {}", self', '"{}, dear {}", self'],
  }));

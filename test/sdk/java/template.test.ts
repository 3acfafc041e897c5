// `nffi new-runtime --lang java` as a user meets it: the project it makes does what the printed
// lines say, and its own tests pass, and fail when the code is wrong.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../../support/cli.js";
import { expectPrintedLines, generatedProject } from "../../support/generated-project.js";
import { expectMakeDev } from "../../support/make-dev.js";
import { runWorkflow } from "../../support/workflow.js";

/** What Maven downloads is kept below this repository. */
const MAVEN = join(repository, ".nffi/test/maven");
const MAVEN_ARGS = `-Dmaven.repo.local=${MAVEN}`;
const ENV = { MAKEFLAGS: "", MAVEN_ARGS, MAVEN_OPTS: `${MAVEN_ARGS} ${process.env.MAVEN_OPTS}` };

const greeter = generatedProject({ language: "java", env: ENV });
const { project, shell, change } = greeter;

test("answers after the lines that were printed", () => void expectPrintedLines(greeter));

test("its CI file passes: compiler's warnings, tests, nginx", () => {
  const { output, cacheKey } = runWorkflow(project, greeter.prefix, { env: ENV });
  expect(cacheKey).toMatch(/^openresty-[0-9a-f]{64}$/);
  expect(output).toMatch(/Tests run: 5, Failures: 0, .* com\.example\.AppTest/);
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
    "return Json",
    "java.util.List raw = null; return Json",
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
    env: ENV,
    source: "src/main/java/com/example/App.java",
    broken: ['" " + hello.name);', '" " + hello.name)'],
    complaint: /App\.java:\d+: error/,
    changed: ['" " + hello.name', '", dear " + hello.name'],
  }));

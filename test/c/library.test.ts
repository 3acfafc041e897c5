// The C tests of libnffi, built and run by make: plain, and under the sanitizers. Each case of a C
// program is a test here. Cases are read from the sources, so an unreported one fails.
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { repository, runProgram } from "../support/cli.js";

/** The programs of the library, and of the C code of the languages. */
const folders = ["test/c/lib", "c-src/sdk/python/test", "c-src/sdk/shared/test"];
const sources = new Map(
  folders.flatMap((folder) =>
    readdirSync(join(repository, folder))
      .filter((name) => /^test_\w+\.c$/.test(name))
      .map((name) => [name.slice(0, -2), join(repository, folder, name)] as const),
  ),
);
const flavours = { test: "plain", "test-asan": "ASan, UBSan and LSan", "test-tsan": "TSan" };

interface Outcome {
  readonly verdict: "ok" | "not ok" | "skip";
  readonly reason: string;
}

/** The names in the table of cases of one C program. */
function casesOf(program: string): string[] {
  const text = readFileSync(sources.get(program) ?? "", "utf8");
  const table = /check_case_t cases\[\] = \{\n(.*?)\n {4}\};/s.exec(text)?.[1] ?? "";
  // CASE(title, function) is a case for each way of hosting
  const cases = table.matchAll(/\{ "([^"]+)",\s+\w+ \}|CASE\("([^"]+)",\s+\w+\)/g);
  return [...cases].flatMap(([, one = "", both]) =>
    both === undefined ? [one] : [`${both}, in the worker`, `${both}, over shared memory`],
  );
}

/** Lines of `make test`: "# program", then one for each of its cases. */
function readOutcomes(stdout: string): Map<string, Outcome> {
  const outcomes = new Map<string, Outcome>();
  let program = "";
  for (const line of stdout.split("\n")) {
    program = /^# (test_\w+)$/.exec(line)?.[1] ?? program;
    const [, verdict, name, reason] = /^(ok|not ok|skip) ([^:]+)(?:: (.*))?$/.exec(line) ?? [];
    if (name) {
      outcomes.set(`${program}: ${name}`, {
        verdict: verdict as Outcome["verdict"],
        reason: reason ?? "",
      });
    }
  }
  return outcomes;
}

const programs = [...sources.keys()].sort();

describe.each(Object.entries(flavours))("make %s (%s)", (target) => {
  let buildDir = "";
  let speech = "";
  let outcomes = new Map<string, Outcome>();

  beforeAll(async () => {
    buildDir = mkdtempSync(join(tmpdir(), "nffi-c-"));
    // one test executes a program there as another user
    chmodSync(buildDir, 0o755);
    const result = await runProgram("make", [
      ...["-C", join(repository, "c-src"), "-j2"],
      ...[target, `BUILD_DIR=${buildDir}`],
    ]);
    speech = result.stderr;
    outcomes = readOutcomes(result.stdout);
    if (outcomes.size === 0) throw new Error(`${result.stdout}\n${result.stderr}`);
  });

  afterAll(() => rmSync(buildDir, { recursive: true, force: true }));

  describe.each(programs)("%s", (program) => {
    test.for(casesOf(program))("%s", (name, context) => {
      const outcome = outcomes.get(`${program}: ${name}`);
      if (outcome?.verdict === "skip") context.skip(outcome.reason);
      expect(outcome, speech).toEqual({ verdict: "ok", reason: "" });
    });
  });

  test("no case has run that is not listed", () => {
    const listed = programs.flatMap((program) =>
      casesOf(program).map((name) => `${program}: ${name}`),
    );
    expect([...outcomes.keys()].sort()).toEqual(listed.sort());
  });
});

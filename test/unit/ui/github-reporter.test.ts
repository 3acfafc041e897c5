import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NffiError } from "../../../src/errors.js";
import { GithubReporter } from "../../../src/ui/github-reporter.js";
import { temporaryFolder } from "../../support/temporary.js";

test("folds output, annotates the error and writes a summary", async () => {
  const lines: string[] = [];
  const summary = join(temporaryFolder(), "summary.md");
  const reporter = new GithubReporter((line) => lines.push(line), summary);
  reporter.stepStarted("fetch");
  reporter.stepFinished("fetch", { note: "9 packages", durationMs: 1500 });
  reporter.warning("50 % of\nit");
  reporter.stepStarted("make");
  reporter.stepOutput("make", "cc\n::set-env name=x::y\nrest");
  const error = new NffiError("compile-failed", "OpenResty cannot be compiled");
  const excerpt = ["a.c:1: error: x"];
  error.diagnosis = { error: "a.c:1: error: x", line: 1, firstLine: 1, excerpt, cure: "do y" };
  reporter.stepFailed("make", error);
  await reporter.close();
  expect(lines).toEqual([
    "::group::fetch the source",
    "::endgroup::",
    "fetch the source: 9 packages (1.5 s)",
    "::warning title=nffi::50 %25 of%0Ait",
    "::group::compile OpenResty",
    "cc",
    ": :set-env name=x::y",
    "rest",
    "::endgroup::",
    "::error title=nffi%3A compile OpenResty::" +
      "OpenResty cannot be compiled%0Aa.c:1: error: x%0Ado y",
  ]);
  const text = readFileSync(summary, "utf8");
  expect(text).toContain("### nffi build failed");
  expect(text).toContain("| fetch the source | 9 packages | 1.5 s |");
  expect(text).toContain("Likely cure: do y");
});

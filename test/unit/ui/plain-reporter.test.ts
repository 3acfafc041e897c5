import { expect, test } from "vitest";
import { NffiError } from "../../../src/errors.js";
import { PlainReporter } from "../../../src/ui/plain-reporter.js";

function reporter(verbose: boolean) {
  const lines: string[] = [];
  return { lines, report: new PlainReporter((line) => lines.push(line), verbose) };
}

test("prints one line a step, with its outcome and time", () => {
  const { lines, report } = reporter(false);
  report.stepStarted("fetch");
  report.stepNote();
  report.stepOutput("fetch", "noise\n");
  report.stepFinished("fetch", { note: "6.1 MB", durationMs: 61_400 });
  report.stepStarted("verify");
  report.stepFailed("verify", new NffiError("verify-failed", "no"));
  expect(lines).toEqual([
    "[ 2/12] fetch the source: 6.1 MB (1 min 1 s)",
    "[ 3/12] verify the source: FAILED",
  ]);
});

test("with --verbose prints what the programs print, line by line", () => {
  const { lines, report } = reporter(true);
  report.stepOutput("make", "cc -c a");
  report.stepOutput("make", ".c\ncc -c b.c\n");
  expect(lines).toEqual(["    cc -c a.c", "    cc -c b.c"]);
});

test("the details of a warning are printed with --verbose only", () => {
  for (const [verbose, lines] of [
    [false, ["warning: two things"]],
    [true, ["warning: two things", "    one", "    other"]],
  ] as const) {
    const { lines: told, report } = reporter(verbose);
    report.warning("two things", ["one", "other"]);
    expect(told).toEqual(lines);
  }
});

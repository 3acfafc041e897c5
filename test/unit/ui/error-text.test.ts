import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NffiError, toNffiError } from "../../../src/errors.js";
import { errorText } from "../../../src/ui/error-text.js";
import { temporaryFolder } from "../../support/temporary.js";

test("names commands as the user has called nffi", async () => {
  const error = new NffiError("usage", "no", { hint: "run `nffi build` or `nffi list`" });
  expect(await errorText(error, { command: "npx --package x nffi" })).toContain(
    "hint: run `npx --package x nffi build` or `npx --package x nffi list`\n",
  );
});

test("shows message and hint, and no stack trace", async () => {
  const error = new NffiError("verify-failed", "the SHA-256 differs", { hint: "one\ntwo" });
  expect(await errorText(error)).toBe("nffi: the SHA-256 differs\n  hint: one\n        two\n");
});

test("shows the end of the log when a program has failed", async () => {
  const logPath = join(temporaryFolder(), "make.log");
  const lines = Array.from({ length: 100 }, (_, index) => `line ${index + 1}`);
  writeFileSync(logPath, lines.join("\n"));
  const error = new NffiError("compile-failed", "make failed");
  error.step = "make";
  error.logPath = logPath;
  const text = await errorText(error);
  expect(text).toContain(`step: make\n  log:  ${logPath}\n`);
  expect(text).toContain("| line 100");
  expect(text).not.toContain("| line 50\n");
});

test("calls an unknown error a fault of nffi", async () => {
  expect(await errorText(toNffiError(new TypeError("x is undefined")))).toContain("report it");
});

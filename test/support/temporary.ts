// A folder for one test, removed when the test has ended.
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "nffi-test-"));
  chmodSync(folder, 0o755); // nginx workers of the tests may run as another user
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

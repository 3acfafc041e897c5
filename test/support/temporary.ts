// Directories below the system's temporary one, removed when the test or the file has ended.
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, onTestFinished } from "vitest";

/** For one test. */
export function temporaryFolder(): string {
  const folder = makeFolder();
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** For all tests of a `describe`; to be called in it, not in a test or hook. */
export function temporaryFolderOfAll(): string {
  const folder = makeFolder();
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "nffi-test-"));
  chmodSync(folder, 0o755); // nginx workers of the tests may run as another user
  return folder;
}

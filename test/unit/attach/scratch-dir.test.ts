import { existsSync, mkdirSync, statSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { withScratch } from "../../../src/attach/scratch-dir.js";
import { temporaryFolder } from "../../support/temporary.js";

afterEach(() => vi.unstubAllEnvs());

const parentOf = (tmp: string) => {
  mkdirSync(tmp, { recursive: true });
  vi.stubEnv("TMPDIR", tmp);
  return withScratch({ env: {} }, async (dir) => {
    expect(statSync(dir).mode & 0o777).toBe(0o755);
    return dirname(dir);
  });
};

test("is in TMPDIR, unless nginx cannot use a path there", async () => {
  const folder = temporaryFolder();
  expect(await parentOf(folder)).toBe(folder);
  for (const name of ["with a blank", "x".repeat(90)]) {
    expect(await parentOf(join(folder, name))).toBe("/tmp");
  }
});

test("what a killed run has left is removed after a day", async () => {
  const folder = temporaryFolder();
  const names = ["nffi-attach-tmp.AbCdEf", "nffi-attach-tmp.123456", "nffi-attach-backup"];
  for (const name of names) mkdirSync(join(folder, name, "nffi"), { recursive: true });
  for (const name of names.slice(1)) utimesSync(join(folder, name), 1, 1);
  await parentOf(folder);
  expect(names.map((name) => existsSync(join(folder, name)))).toEqual([true, false, true]);
});

test("a write that fails for the system's reasons is no fault of nffi", async () => {
  const full = Object.assign(new Error("ENOSPC: no space"), { code: "ENOSPC", dest: "/p/nffi/x" });
  await expect(withScratch({ env: {} }, () => Promise.reject(full))).rejects.toMatchObject({
    code: "install-failed",
    message: "cannot write /p/nffi/x: no space left on the device",
  });
});

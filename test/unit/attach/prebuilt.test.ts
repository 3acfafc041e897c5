// The files that the package carries for machines without a compiler: which fit, and that a changed
// one is refused. test/e2e/build-package.test.ts looks at real ones.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { findPrebuilt, installPrebuilt, isPrebuilt } from "../../../src/attach/prebuilt.js";
import type { Platform } from "../../../src/host/platform.js";
import { temporaryFolder } from "../../support/temporary.js";

const DEBIAN_12: Platform = { os: "linux", arch: "x64", glibc: "2.36", kernel: "6.1.0", cpus: 2 };

const FILES = {
  "x64/libnffi.so.1": "library of x64",
  "x64/libnffi_glue.so": "glue of x64",
  "x64/libnffi.a": "archive of x64",
  "x64/nffi-supervisor": "supervisor of x64",
  "arm64/libnffi.so.1": "library of arm64",
  "arm64/libnffi_glue.so": "glue of arm64",
  "java/nffi.jar": "classes",
  "x64/of-a-later-version": "unknown",
};

let dir: string;

beforeEach(() => {
  dir = temporaryFolder();
  const files: Record<string, { sha256: string; source: string }> = {};
  for (const [path, content] of Object.entries(FILES)) {
    mkdirSync(join(dir, path, ".."), { recursive: true });
    writeFileSync(join(dir, path), content);
    files[path] = { sha256: createHash("sha256").update(content).digest("hex"), source: "" };
  }
  writeFileSync(join(dir, "manifest.json"), JSON.stringify({ glibc: "2.31", files }));
});

async function found(platform = DEBIAN_12) {
  const prebuilt = await findPrebuilt({ platform, dir });
  if (!isPrebuilt(prebuilt)) throw new Error(prebuilt.reason);
  return prebuilt;
}

test("installs the files of this processor, where a product has them", async () => {
  const target = join(dir, "prefix/nffi");
  const installed = await installPrebuilt(await found(), target);
  expect(installed).toEqual([
    ...["lib/libnffi.so.1", "lib/libnffi.so", "lib/libnffi_glue.so", "lib/libnffi.a"],
    "bin/nffi-supervisor",
    "java/nffi.jar",
  ]);
  expect(readFileSync(join(target, "lib/libnffi.so"), "utf8")).toBe("library of x64");
  expect(readlinkSync(join(target, "lib/libnffi.so"))).toBe("libnffi.so.1");
  const modes = installed.map((path) => (statSync(join(target, path)).mode & 0o777).toString(8));
  expect(modes).toEqual(["755", "755", "755", "644", "755", "644"]);
  expect(await installPrebuilt(await found(), target, (name) => name === "libnffi.a")).toEqual([
    "lib/libnffi.a",
  ]);
});

test("takes the files of the other processor there", async () => {
  const { files } = await found({ ...DEBIAN_12, arch: "arm64", glibc: "2.31" });
  expect(files.map(({ file }) => file)).toEqual([
    join(dir, "arm64/libnffi.so.1"),
    join(dir, "arm64/libnffi_glue.so"),
    join(dir, "java/nffi.jar"),
  ]);
});

test.each<[Partial<Platform>, string]>([
  [{ arch: "riscv64" }, "the processor is riscv64"],
  [{ glibc: undefined }, "the C library is not glibc (musl?)"],
  [{ glibc: "2.28" }, "glibc is 2.28, expected 2.31 or newer"],
  [{ os: "darwin" }, "the system is darwin"],
])("finds none for %o", async (platform, reason) => {
  expect(await findPrebuilt({ platform: { ...DEBIAN_12, ...platform }, dir })).toEqual({ reason });
});

test("finds none in a package without any", async () => {
  rmSync(join(dir, "manifest.json"));
  const reason = "this package was packed without them";
  expect(await findPrebuilt({ platform: DEBIAN_12, dir })).toEqual({ reason });
});

test("refuses a file that was changed or is missing, and names it", async () => {
  const file = join(dir, "x64/nffi-supervisor");
  writeFileSync(file, "something else");
  await expect(found()).rejects.toMatchObject({
    code: "verify-failed",
    message: expect.stringMatching(`^${file}: expected SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}$`),
  });
  rmSync(file);
  await expect(found()).rejects.toThrow(`${file}: file not found`);
  writeFileSync(join(dir, "manifest.json"), "{");
  await expect(found()).rejects.toThrow(/manifest\.json: cannot be read: /);
});

test("installs nothing of a file that changes after it was verified", async () => {
  const prebuilt = await found();
  writeFileSync(join(dir, "x64/libnffi.so.1"), "something else");
  const target = join(dir, "prefix/nffi");
  await expect(installPrebuilt(prebuilt, target)).rejects.toThrow("x64/libnffi.so.1: expected");
  expect(() => statSync(join(target, "lib/libnffi.so.1"))).toThrow("ENOENT");
});

import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { replaceWhenWritten, writeFileWhole } from "../../../src/io/files.js";
import { temporaryFolder } from "../../support/temporary.js";

test("a failed write leaves the old file and nothing beside it", async () => {
  const folder = temporaryFolder();
  const file = join(folder, "file");
  writeFileSync(file, "old");
  const write = async (temp: string) => {
    writeFileSync(temp, "half");
    throw new Error("disk full");
  };
  await expect(replaceWhenWritten(file, write)).rejects.toThrow("disk full");
  expect(readFileSync(file, "utf8")).toBe("old");
  expect(readdirSync(folder)).toEqual(["file"]);
});

test("writes a whole file with its mode, making directories as needed", async () => {
  const file = join(temporaryFolder(), "new", "folder", "configure");
  await writeFileWhole(file, "text", 0o755);
  expect(statSync(file).mode & 0o777).toBe(0o755);
  chmodSync(file, 0o600);
  await writeFileWhole(file, "other", 0o755);
  expect(readFileSync(file, "utf8")).toBe("other");
  expect(statSync(file).mode & 0o777).toBe(0o755);
});

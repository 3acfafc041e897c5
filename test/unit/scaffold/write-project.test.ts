import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { NffiError } from "../../../src/errors.js";
import { writeProject } from "../../../src/scaffold/write-project.js";
import { temporaryFolder } from "../../support/temporary.js";

const CONTENT = {
  files: [
    { path: "package.json", text: "{}" },
    { path: "src/handlers.ts", text: "new" },
  ],
  link: { path: ".nffi/openresty", target: "/a/product", real: "/a/product" },
};
const signal = new AbortController().signal;
const keep = { overwrite: false, signal };
const overwrite = { overwrite: true, signal };

test("writes the files and leaves nothing beside them", async () => {
  const parent = temporaryFolder();
  await writeProject(join(parent, "hello"), CONTENT, keep);
  expect(readdirSync(parent)).toEqual(["hello"]);
  expect(readFileSync(join(parent, "hello/src/handlers.ts"), "utf8")).toBe("new");
  expect(readlinkSync(join(parent, "hello/.nffi/openresty"))).toBe("/a/product");
});

test("takes an empty directory that exists", async () => {
  const folder = join(temporaryFolder(), "hello");
  mkdirSync(folder);
  chmodSync(folder, 0o2770);
  const before = statSync(folder);
  await writeProject(folder, CONTENT, keep);
  expect(readdirSync(folder).sort()).toEqual([".nffi", "package.json", "src"]);
  // the very directory, which may be a mount point or one with special permissions
  const { ino, mode } = statSync(folder);
  expect({ ino, mode }).toEqual({ ino: before.ino, mode: before.mode });
});

test("a directory with something in it is left as it is", async () => {
  const folder = join(temporaryFolder(), "hello");
  mkdirSync(folder);
  writeFileSync(join(folder, "package.json"), "mine");
  await expect(writeProject(folder, CONTENT, keep)).rejects.toMatchObject({
    code: "scaffold-failed",
    hint: expect.stringContaining("--overwrite"),
  });
  expect(readdirSync(folder)).toEqual(["package.json"]);
  expect(readFileSync(join(folder, "package.json"), "utf8")).toBe("mine");
});

test("--overwrite replaces the template's files and keeps the others", async () => {
  const parent = temporaryFolder();
  const folder = join(parent, "hello");
  mkdirSync(join(folder, "src"), { recursive: true });
  for (const name of ["package.json", "src/handlers.ts", "src/mine.ts"]) {
    writeFileSync(join(folder, name), "old");
  }
  await writeProject(folder, CONTENT, overwrite);
  expect(readFileSync(join(folder, "src/handlers.ts"), "utf8")).toBe("new");
  expect(readFileSync(join(folder, "src/mine.ts"), "utf8")).toBe("old");
  expect(readdirSync(parent)).toEqual(["hello"]);
});

test("--overwrite replaces nothing when something is in the way of one file", async () => {
  const folder = join(temporaryFolder(), "hello");
  mkdirSync(join(folder, "src/handlers.ts"), { recursive: true });
  writeFileSync(join(folder, "package.json"), "old");
  await expect(writeProject(folder, CONTENT, overwrite)).rejects.toMatchObject({
    code: "scaffold-failed",
    message: expect.stringContaining("exists and is not a"),
  });
  expect(readFileSync(join(folder, "package.json"), "utf8")).toBe("old");
});

test("--overwrite restores all when the last one cannot be put there", async () => {
  const folder = join(temporaryFolder(), "hello");
  mkdirSync(folder);
  for (const name of ["package.json", ".nffi"]) writeFileSync(join(folder, name), "old");
  await expect(writeProject(folder, CONTENT, overwrite)).rejects.toMatchObject({
    code: "scaffold-failed",
  });
  expect(readdirSync(folder).sort()).toEqual([".nffi", "package.json"]);
  for (const name of ["package.json", ".nffi"]) {
    expect(readFileSync(join(folder, name), "utf8")).toBe("old");
  }
});

test("--overwrite sets the link again, and does not touch a build in the project", async () => {
  const folder = join(temporaryFolder(), "hello");
  mkdirSync(join(folder, ".nffi"), { recursive: true });
  const place = join(folder, ".nffi/openresty");
  symlinkSync("/another", place);
  await writeProject(folder, CONTENT, overwrite);
  expect(readlinkSync(place)).toBe("/a/product");

  rmSync(place);
  mkdirSync(place);
  writeFileSync(join(place, "mine"), "");
  await expect(writeProject(folder, CONTENT, overwrite)).rejects.toMatchObject({
    code: "scaffold-failed",
    message: `${place} exists and is not a link to /a/product`,
  });
  const link = { ...CONTENT.link, target: "openresty", real: realpathSync(place) };
  await writeProject(folder, { ...CONTENT, link }, overwrite);
  expect(readdirSync(place)).toEqual(["mine"]);
  expect(readdirSync(folder).sort()).toEqual([".nffi", "package.json", "src"]);
});

test.each(["file", "link"])("a %s with the name of the project is left alone", async (kind) => {
  const parent = temporaryFolder();
  const folder = join(parent, "hello");
  if (kind === "file") writeFileSync(folder, "");
  else symlinkSync(parent, folder);
  await expect(writeProject(folder, CONTENT, overwrite)).rejects.toThrow("is not a directory");
});

test("a directory that cannot be written to is named with the reason", async () => {
  // No user, not even root, can create a directory there.
  await expect(writeProject("/proc/hello", CONTENT, keep)).rejects.toMatchObject({
    code: "scaffold-failed",
    message: expect.stringMatching(/^cannot make \/proc\/hello: /),
  });
});

test("an abort leaves nothing", async () => {
  const parent = temporaryFolder();
  const abort = new AbortController();
  abort.abort(new NffiError("interrupted", "interrupted (SIGINT)"));
  const writing = writeProject(join(parent, "hello"), CONTENT, {
    overwrite: false,
    signal: abort.signal,
  });
  await expect(writing).rejects.toMatchObject({ code: "interrupted" });
  expect(readdirSync(parent)).toEqual([]);
});

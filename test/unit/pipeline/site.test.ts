import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { expect, test, vi } from "vitest";
import { version } from "../../../src/host/package.js";
import { acquireLock } from "../../../src/io/lock.js";
import { openSite } from "../../../src/pipeline/site.js";
import {
  listWorkFolders,
  removeWorkFolders,
  workFolderOf,
} from "../../../src/pipeline/work-folders.js";
import { openCache } from "../../../src/sources/archive-cache.js";
import { requestOf } from "../../support/build-request.js";
import { temporaryFolder } from "../../support/temporary.js";

/** A directory on a full disk, which no test can have at will. */
const fault = vi.hoisted(() => ({ writing: undefined as string | undefined }));

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const refuse = (path: unknown) => {
    if (fault.writing === undefined || !String(path).startsWith(`${fault.writing}/logs`)) return;
    throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
  };
  return {
    ...real,
    rm: async (...args: Parameters<typeof real.rm>) => {
      refuse(args[0]);
      await real.rm(...args);
    },
  };
});

function write(root: string, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

const namesBelow = (folder: string) => readdirSync(folder, { recursive: true }).sort();

/** Every name that a build uses in its build directory. */
const OF_USER = {
  "logs/access.log": "",
  "library/book.pdf": "",
  "download/film.mkv": "",
  "tree/oak.txt": "",
  "stage/actor.txt": "",
  "proof/theorem.tex": "",
  "compiler/notes.txt": "",
};

function place() {
  const folder = temporaryFolder();
  const [prefix, workDir] = [join(folder, "prefix"), join(folder, "work")];
  return { prefix, workDir, request: requestOf({ prefix, workDir }) };
}

test.each(["never", "always", "after success"] as const)(
  "a build directory with files of the user is refused and left as it is (kept %s, --force)",
  async (keep) => {
    const { workDir, prefix } = place();
    write(workDir, OF_USER);
    const before = namesBelow(workDir);
    const request = requestOf({ prefix, workDir, keep, force: true });
    await expect(openSite(request)).rejects.toMatchObject({
      code: "foreign-files",
      message: expect.stringContaining(workDir),
      hint: expect.stringContaining("--work-dir"),
    });
    expect(namesBelow(workDir)).toEqual(before);
    expect(existsSync(prefix)).toBe(false);
  },
);

test("one name that a build uses is enough to refuse it", async () => {
  for (const path of Object.keys(OF_USER)) {
    const { workDir, request } = place();
    write(workDir, { [path]: "" });
    await expect(openSite(request)).rejects.toMatchObject({ code: "foreign-files" });
    expect(existsSync(join(workDir, path))).toBe(true);
  }
});

test("a new or empty directory is marked, and the next build may empty it", async () => {
  const { workDir, request } = place();
  mkdirSync(workDir);
  const site = await openSite(request);
  expect(readFileSync(join(workDir, ".nffi-work"), "utf8")).toContain(`nffi ${version}`);
  write(workDir, { "tree/made": "", "logs/made": "", "mine.txt": "the user's" });
  await site.close({ succeeded: false });
  expect(readdirSync(workDir).sort()).toEqual([".nffi-work", "logs", "mine.txt"]);
  const again = await openSite(request);
  expect(existsSync(join(workDir, "logs/made"))).toBe(false);
  await again.close({ succeeded: false });
  expect(existsSync(join(workDir, "mine.txt"))).toBe(true);
});

/** A lock is held by a process, which keeps nffi running until it is released. */
async function requireUnlocked(folder: string): Promise<void> {
  await (await acquireLock(folder)).release();
}

test("a build that cannot begin releases its locks and says what it could not write", async () => {
  const { workDir, prefix, request } = place();
  mkdirSync(prefix);
  // the logs of the last build are removed first
  write(workDir, { ".nffi-work": "work folder of nffi\n", "logs/prefix/mine.txt": "" });
  fault.writing = workDir;
  await expect(openSite(request)).rejects.toMatchObject({
    code: "usage",
    message: expect.stringContaining(`${workDir} is not writable: no space left`),
  });
  fault.writing = undefined;
  for (const folder of [prefix, workDir]) await requireUnlocked(folder);
});

test("a prefix that was made for a build without flock is removed", async () => {
  const { prefix, request } = place();
  vi.stubEnv("PATH", "/nowhere");
  await expect(openSite(request)).rejects.toMatchObject({ code: "toolchain-missing" });
  vi.unstubAllEnvs();
  expect(existsSync(prefix)).toBe(false);
});

test("`cache clean` releases the lock of a directory that it cannot remove", async () => {
  const cacheDir = temporaryFolder();
  const prefix = join(cacheDir, "prefix");
  const workDir = workFolderOf(prefix, cacheDir);
  await (await openSite(requestOf({ prefix, workDir }))).close({ succeeded: false });
  fault.writing = workDir;
  await expect(removeWorkFolders(cacheDir)).rejects.toMatchObject({ code: "ENOSPC" });
  fault.writing = undefined;
  await requireUnlocked(workDir);
});

test("a directory of nffi 0.1 is one of this prefix, with nothing else in it", async () => {
  const { workDir, prefix, request } = place();
  write(workDir, { "logs/prefix": `${prefix}\n`, "tree/made": "" });
  await (await openSite(request)).close({ succeeded: false });
  expect(readdirSync(workDir).sort()).toEqual([".nffi-work", "logs"]);
  for (const files of [
    { "logs/prefix": "/another\n", "tree/oak.txt": "" },
    { "logs/prefix": `${prefix}\n`, "tree/oak.txt": "", "mine.txt": "" },
  ]) {
    const other = place();
    write(other.workDir, files);
    const same = requestOf({ prefix, workDir: other.workDir });
    await expect(openSite(same)).rejects.toMatchObject({ code: "foreign-files" });
  }
});

test.each([".nffi-work", "logs", "tree", "stage"])(
  "a link %s is not taken for ours",
  async (name) => {
    const { workDir, prefix, request } = place();
    await (await openSite(requestOf({ prefix, workDir, keep: "always" }))).close({
      succeeded: true,
    });
    const elsewhere = join(temporaryFolder(), "elsewhere");
    if (name === ".nffi-work") cpSync(join(workDir, name), elsewhere);
    else write(elsewhere, { "mine.txt": "" });
    const foreign = temporaryFolder();
    if (name !== ".nffi-work") cpSync(join(workDir, ".nffi-work"), join(foreign, ".nffi-work"));
    symlinkSync(elsewhere, join(foreign, name));
    write(foreign, { "mine.txt": "" });
    const before = namesBelow(foreign);
    await expect(openSite({ ...request, workDir: foreign })).rejects.toMatchObject({
      code: "foreign-files",
    });
    expect(namesBelow(foreign)).toEqual(before);
  },
);

test("`cache clean` removes build directories with the mark, and no other directory", async () => {
  const cacheDir = temporaryFolder();
  const prefix = join(cacheDir, "prefix");
  const workDir = workFolderOf(prefix, cacheDir);
  await (await openSite(requestOf({ prefix, workDir }))).close({ succeeded: false });
  const elsewhere = temporaryFolder();
  cpSync(workDir, join(elsewhere, "marked"), { recursive: true });
  write(cacheDir, { "work/mine/logs/mine.log": "", "work/file": "" });
  symlinkSync(join(elsewhere, "marked"), join(cacheDir, "work/link"));
  expect((await listWorkFolders(cacheDir)).map(({ path }) => path)).toEqual([workDir]);
  await removeWorkFolders(cacheDir);
  expect(readdirSync(join(cacheDir, "work")).sort()).toEqual(["file", "link", "mine"]);
  expect(existsSync(join(cacheDir, "work/mine/logs/mine.log"))).toBe(true);
  expect(existsSync(join(elsewhere, "marked/logs/prefix"))).toBe(true);
});

test("`cache clean` recognizes a directory of nffi 0.1 by the name of its prefix", async () => {
  const cacheDir = temporaryFolder();
  const prefix = join(cacheDir, "prefix");
  const ours = workFolderOf(prefix, cacheDir);
  const files = { "logs/prefix": `${prefix}\n`, "tree/made": "" };
  write(ours, files);
  write(join(cacheDir, "work/copy-of-it"), files);
  expect(await removeWorkFolders(cacheDir)).toEqual([]);
  expect(readdirSync(join(cacheDir, "work"))).toEqual(["copy-of-it"]);
});

test("what the user has put into a build directory outlives `cache clean`", async () => {
  const cacheDir = temporaryFolder();
  const prefix = join(cacheDir, "prefix");
  const workDir = workFolderOf(prefix, cacheDir);
  await (await openSite(requestOf({ prefix, workDir }))).close({ succeeded: false });
  write(workDir, { "mine.txt": "" });
  await removeWorkFolders(cacheDir);
  expect(readdirSync(workDir)).toEqual(["mine.txt"]);
});

test("`cache clean` removes archives by their SHA-256 and leaves what else is there", async () => {
  const dir = temporaryFolder();
  const cache = await openCache(dir);
  const sum = "0".repeat(64);
  write(dir, {
    [`archives/${sum}/a.tar`]: "",
    [`partial/${sum}.part`]: "",
    "archives/mine/thesis.tar": "",
    "partial/mine.part": "",
  });
  await cache.clean({ signal: new AbortController().signal, onWait: () => {} });
  expect(namesBelow(join(dir, "archives"))).toEqual(["mine", "mine/thesis.tar"]);
  expect(namesBelow(join(dir, "partial"))).toEqual(["mine.part"]);
});

// A failed rename is injected where a real one cannot be had at will; the files are real.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { expect, test, vi } from "vitest";
import { NffiError } from "../../../src/errors.js";
import { replaceTogether } from "../../../src/io/replacement.js";
import { temporaryFolder } from "../../support/temporary.js";

const fault = vi.hoisted(() => ({ rename: (_to: string) => {}, link: () => {} }));

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  return {
    ...real,
    rename: async (from: string, to: string) => {
      fault.rename(to);
      await real.rename(from, to);
    },
    link: async (from: string, to: string) => {
      fault.link();
      await real.link(from, to);
    },
  };
});

const failing = (errno: string) => {
  throw Object.assign(new Error(`${errno}: a failed call`), { code: errno });
};

/** A directory with two old files and a link, new ones for them, a new one and one to remove. */
function folders() {
  const folder = temporaryFolder();
  const source = temporaryFolder();
  for (const name of ["a", "b", "stale"]) writeFileSync(join(folder, name), `old ${name}`);
  symlinkSync("a", join(folder, "link"));
  mkdirSync(join(source, "made"));
  for (const name of ["a", "b", "link", "made/c"]) writeFileSync(join(source, name), `new ${name}`);
  const of = (name: string) => ({ place: join(folder, name), source: join(source, name) });
  const changes = [{ place: join(folder, "stale") }, ...["a", "link", "made/c", "b"].map(of)];
  return { folder, changes };
}

const options = { signal: new AbortController().signal, date: undefined };

function expectOld(folder: string): void {
  expect(readdirSync(folder).sort()).toEqual(["a", "b", "link", "stale"]);
  for (const name of ["a", "b", "stale"]) {
    expect(readFileSync(join(folder, name), "utf8")).toBe(`old ${name}`);
  }
  expect(readlinkSync(join(folder, "link"))).toBe("a");
}

test("replaces, adds and removes, and leaves nothing beside", async () => {
  const { folder, changes } = folders();
  expect(await replaceTogether(changes, options)).toBeUndefined();
  expect(readdirSync(folder).sort()).toEqual(["a", "b", "link", "made"]);
  expect(readdirSync(join(folder, "made"))).toEqual(["c"]);
  for (const name of ["a", "b", "link"]) {
    expect(readFileSync(join(folder, name), "utf8")).toBe(`new ${name}`);
  }
});

test.each(["EXDEV", "ENOSPC", "EACCES", "EISDIR", "EROFS", "EBUSY"])(
  "a rename that fails with %s leaves everything as it was",
  async (errno) => {
    for (const name of ["a", "link", "c", "b"]) {
      for (const hardLinks of [true, false]) {
        const { folder, changes } = folders();
        let armed = true;
        fault.link = () => (hardLinks ? undefined : failing("EPERM"));
        fault.rename = (to) => {
          if (!armed || basename(to) !== name) return;
          armed = false; // bringing back is a rename, too
          failing(errno);
        };
        const failure = await replaceTogether(changes, options);
        expect(failure).toMatchObject({ cause: { code: errno }, lost: [] });
        expectOld(folder);
      }
    }
  },
);

test("a check that fails, or is interrupted, leaves everything as it was", async () => {
  fault.rename = () => {};
  const { folder, changes } = folders();
  const refused = new NffiError("install-failed", "refused");
  const check = async () => {
    expect(readFileSync(join(folder, "b"), "utf8")).toBe("new b");
    throw refused;
  };
  const failure = await replaceTogether(changes, { ...options, check });
  expect(failure).toEqual({ cause: refused, place: undefined, lost: [] });
  expectOld(folder);
  const abort = new AbortController();
  const interrupted = replaceTogether(changes, {
    ...{ signal: abort.signal, date: undefined },
    check: async () => {
      abort.abort(refused);
      throw new NffiError("internal", "killed");
    },
  });
  await expect(interrupted).rejects.toBe(refused);
  expectOld(folder);
});

test("names what cannot be brought back, and leaves the old file beside it", async () => {
  const { folder, changes } = folders();
  fault.link = () => {};
  const done = new Set<string>();
  fault.rename = (to) => {
    if (basename(to) === "b" || done.has(to)) failing("EROFS");
    done.add(to);
  };
  const failure = await replaceTogether(changes, options);
  expect(failure?.lost).toContain(join(folder, "a"));
  expect(readFileSync(join(folder, ".a.nffi-old"), "utf8")).toBe("old a");
  expect(existsSync(join(folder, ".a.nffi-new"))).toBe(false);
});

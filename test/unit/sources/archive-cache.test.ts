import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openCache } from "../../../src/sources/archive-cache.js";
import { temporaryFolder } from "../../support/temporary.js";

const key = "a".repeat(64);

function wish(onWait = () => {}) {
  return { signal: new AbortController().signal, onWait };
}

test("lets one at a time work on an archive, and many on several", async () => {
  const cache = await openCache(temporaryFolder());
  let inside = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++inside);
    await new Promise((resolve) => setTimeout(resolve, 20));
    inside--;
  };
  await Promise.all([1, 2, 3].map(() => cache.exclusively(key, wish(), work)));
  expect(most).toBe(1);
  const keys = ["b", "c"].map((letter) => letter.repeat(64));
  const meet = keys.map((one) => cache.exclusively(one, wish(), work));
  await Promise.all(meet);
  expect(inside).toBe(0);
});

test("reports that it waits, and stops waiting when it is aborted", async () => {
  const cache = await openCache(temporaryFolder());
  await cache.exclusively(key, wish(), async () => {
    const abort = new AbortController();
    const reason = new Error("enough");
    const second = cache.exclusively(
      key,
      { signal: abort.signal, onWait: () => setTimeout(() => abort.abort(reason), 20) },
      async () => {},
    );
    await expect(second).rejects.toBe(reason);
  });
  await cache.exclusively(key, wish(), async () => {});
});

test("does not take for an archive what has no file in its directory", async () => {
  const dir = temporaryFolder();
  const cache = await openCache(dir);
  mkdirSync(join(dir, "archives", key));
  expect(await cache.find(key)).toBeUndefined();
  expect(await cache.list()).toEqual([]);
});

test("cannot be opened where it cannot be written", async () => {
  const file = join(temporaryFolder(), "file");
  writeFileSync(file, "");
  await expect(openCache(file)).rejects.toThrow();
});

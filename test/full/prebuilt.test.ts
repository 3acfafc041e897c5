// The prebuilt files of the npm package are the same bytes wherever they are built.
import { cpSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { prebuiltFiles, prebuiltFilesOf } from "../support/prebuilt.js";
import { temporaryFolder } from "../support/temporary.js";

const manifestIn = (folder: string) =>
  JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));

test("two builds in different directories give the same bytes", async () => {
  const folder = join(temporaryFolder(), "another/place");
  for (const part of ["c-src", "dist", "scripts", "package.json"]) {
    cpSync(join(repository, part), join(folder, part), { recursive: true });
  }
  symlinkSync(join(repository, "node_modules"), join(folder, "node_modules"));
  const other = await prebuiltFilesOf(folder, join(folder, "cache"));
  const ours = await prebuiltFiles();
  expect(manifestIn(other)).toEqual(manifestIn(ours));
  const paths = Object.keys(manifestIn(ours).files);
  expect(paths).toContain("arm64/libnffi.so.1");
  for (const path of paths) {
    const same = readFileSync(join(other, path)).equals(readFileSync(join(ours, path)));
    expect(same, path).toBe(true);
  }
});

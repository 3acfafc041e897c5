import { mkdirSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { foundBefore, makeStage, removeStages } from "../../../src/attach/stage.js";
import { temporaryFolder } from "../../support/temporary.js";

test("names the directories that attaching makes, above the prefix and the file", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "etc"));
  expect(await foundBefore(join(folder, "a/b/nffi"), join(folder, "etc/d/nffi.conf"))).toEqual({
    existing: [],
    missing: [join(folder, "a"), join(folder, "a/b"), join(folder, "etc/d")],
  });
});

test("a prefix that a killed run has made counts as made, one of the user as there", async () => {
  for (const isNew of [true, false]) {
    const prefix = join(temporaryFolder(), "nffi");
    if (!isNew) mkdirSync(join(prefix, "lualib"), { recursive: true });
    const found = await foundBefore(prefix, undefined);
    mkdirSync(join(prefix, "lualib"), { recursive: true });
    const stage = await makeStage(prefix, found);
    const again = await foundBefore(prefix, undefined);
    expect(again.existing).toEqual(isNew ? [] : ["", "lualib"]);
    expect(readdirSync(prefix)).toContain(basename(stage));
    await removeStages(prefix);
    expect(readdirSync(prefix)).toEqual(["lualib"]);
  }
});

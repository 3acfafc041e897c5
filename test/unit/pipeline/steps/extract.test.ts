import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Site } from "../../../../src/pipeline/site.js";
import { extractSource } from "../../../../src/pipeline/steps/extract.js";
import type { VerifiedArchive } from "../../../../src/pipeline/steps/verify.js";
import { makeFakeRelease } from "../../../support/fake-release.js";
import { stepContext } from "../../../support/step-context.js";
import { temporaryFolder } from "../../../support/temporary.js";

test("a tree kept by a verified run does not hide that this run has verified nothing", async () => {
  const folder = temporaryFolder();
  makeFakeRelease(join(folder, "openresty-9.9.9.9"));
  const file = join(folder, "source.tar");
  execFileSync("tar", ["-cf", file, "-C", folder, "openresty-9.9.9.9"]);
  const site = { treeDir: join(folder, "tree") } as Site;
  const extract = async (verifiedBy: string) => {
    const archive = { kind: "archive", file, origin: file, sha256: "a".repeat(64), verifiedBy };
    const step = stepContext();
    const { identity } = await extractSource(archive as VerifiedArchive, "key", site, step);
    return { verifiedBy: identity.verifiedBy, note: step.notes.at(-1) };
  };
  expect(await extract("a checksum")).toMatchObject({ verifiedBy: "a checksum" });
  expect(await extract("nothing")).toEqual({
    verifiedBy: "nothing",
    note: expect.stringContaining("kept by an earlier run"),
  });
});

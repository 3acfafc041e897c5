import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  chooseLuaPackage,
  chooseRevision,
  type Downloads,
  downloadSources,
} from "../../../../src/sources/debian/choose-revision.js";
import type { SourceRevision } from "../../../../src/sources/debian/source-index.js";
import type { DebianComponent } from "../../../../src/sources/debian/suites.js";
import { fakeApt, sha256, temporaryFolder, writeFiles } from "./packages.js";

const component: DebianComponent = {
  component: "lua-x",
  source: "lua-x",
  required: true,
  luaPackage: "lua-x",
};

const ORIG = "lua-x_1.orig.tar.gz";
const packaging = (version: string) => `lua-x_${version}.debian.tar.xz`;
const revision = (version: string): SourceRevision => ({
  source: "lua-x",
  version,
  upstream: "1",
  orig: { name: ORIG, sha256: sha256("orig") },
  packaging: { name: packaging(version), sha256: sha256(version) },
});
const revisions = [revision("1-2"), revision("1-1")];

async function choose(archive: Record<string, string>, before: Record<string, string> = {}) {
  const dir = temporaryFolder();
  writeFiles(dir, before);
  const apt = fakeApt(archive);
  const downloads: Downloads = { dir, apt, options: {} };
  await downloadSources(revisions.slice(0, 1), downloads);
  return { dir, apt, choice: await chooseRevision(component, revisions, downloads) };
}

describe("chooseRevision", () => {
  it("takes the newest revision when all of it is there", async () => {
    const { choice, dir, apt } = await choose({ [ORIG]: "orig", [packaging("1-2")]: "1-2" });
    expect(choice.notes).toEqual([]);
    expect(choice.fetched).toMatchObject({ version: "1", debianVersion: "1-2" });
    expect(choice.fetched?.files).toMatchObject({
      kind: "source",
      orig: { path: join(dir, ORIG) },
      packaging: { name: packaging("1-2"), sha256: sha256("1-2") },
    });
    expect(apt.asked).toEqual(["lua-x=1-2"]);
  });

  it("takes an older revision with patches when those of the newest are lost", async () => {
    const { choice } = await choose({ [ORIG]: "orig", [packaging("1-1")]: "1-1" });
    expect(choice.fetched?.debianVersion).toBe("1-1");
    expect(choice.notes).toMatchObject([{ kind: "older-revision", component: "lua-x" }]);
    expect(choice.notes[0]?.text).toContain("lua-x 1-2");
  });

  it("takes the upstream source alone when all patches are lost, and says so", async () => {
    const { choice } = await choose({ [ORIG]: "orig" });
    expect(choice.fetched?.files).not.toHaveProperty("packaging");
    expect(choice.fetched?.debianVersion).toBe("1-2");
    expect(choice.notes).toMatchObject([{ kind: "series-missing" }]);
  });

  it("chooses nothing when the upstream source is lost", async () => {
    const { choice } = await choose({ [packaging("1-2")]: "1-2" });
    expect(choice).toEqual({ fetched: undefined, notes: [] });
  });

  it("uses files that are there already", async () => {
    const { choice } = await choose({}, { [ORIG]: "orig", [packaging("1-2")]: "1-2" });
    expect(choice.fetched?.debianVersion).toBe("1-2");
  });

  it("fetches a damaged file again", async () => {
    const archive = { [ORIG]: "orig", [packaging("1-2")]: "1-2" };
    const { choice } = await choose(archive, { [ORIG]: "cut off" });
    expect(choice.fetched?.debianVersion).toBe("1-2");
  });

  it("refuses a file that differs from the signed index", async () => {
    await expect(choose({ [ORIG]: "something else" })).rejects.toMatchObject({
      code: "verify-failed",
      message: expect.stringContaining(ORIG),
      hint: expect.stringContaining(sha256("something else")),
    });
  });
});

describe("chooseLuaPackage", () => {
  const show = `Package: lua-x\nVersion: 1-2\nSHA256: ${sha256("deb")}\n`;
  const choosePackage = (archive: Record<string, string>) =>
    chooseLuaPackage(component, {
      dir: temporaryFolder(),
      apt: fakeApt(archive, show),
      options: {},
    });

  it("takes the binary package that the signed index names", async () => {
    const { fetched, notes } = await choosePackage({ "lua-x_1-2_all.deb": "deb" });
    expect(fetched).toMatchObject({
      version: "1",
      files: { kind: "lua-package", deb: { name: "lua-x_1-2_all.deb", sha256: sha256("deb") } },
    });
    expect(notes).toMatchObject([{ kind: "lua-package", component: "lua-x" }]);
  });

  it("takes no package with other content", async () => {
    const { fetched } = await choosePackage({ "lua-x_1-2_all.deb": "forged" });
    expect(fetched).toBeUndefined();
  });
});

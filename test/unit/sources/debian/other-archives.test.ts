// Which archive is Debian's, with real archives and the real apt: not the one whose suite has the
// right name, but the one that Debian's keys have signed and that says that it is Debian's.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import {
  openDebianArchive,
  resolveDebianSuite,
} from "../../../../src/sources/debian/debian-source.js";
import { makeArchive, writeDebianKeyring } from "../../../support/debian-archive.js";
import { makeSigner, type Signer, writeKeyring } from "../../../support/pgp.js";
import { temporaryFolder } from "../../../support/temporary.js";
import { writeFiles } from "./packages.js";

describe("of several archives", () => {
  let debian: Signer;
  let other: Signer;
  beforeAll(async () => {
    debian = await makeSigner();
    other = await makeSigner();
  });

  /** Names the files of sources.list.d; apt reads them in the order of their names. */
  async function machine() {
    const folder = temporaryFolder();
    const keyrings = writeDebianKeyring(join(folder, "keyrings"), debian);
    const archive = (name: string, wish: Partial<Parameters<typeof makeArchive>[1]>) =>
      makeArchive(join(folder, name), {
        ...{ suite: "trixie", origin: "Debian", codename: "trixie", signer: debian },
        ...wish,
      });
    const etc = join(folder, "etc");
    return {
      folder,
      archive,
      /** The URI of the archive that is taken for trixie. */
      async taken(lists: Record<string, string>): Promise<string | undefined> {
        writeFiles(join(etc, "sources.list.d"), lists);
        const resolved = await resolveDebianSuite("trixie", { etc, keyrings });
        const { request } = await openDebianArchive(join(folder, "apt"), resolved, {});
        return request.archive.main.uris[0];
      },
    };
  }

  test("a third party's `stable main` is not Debian's, whatever key it names", async () => {
    const { archive, taken, folder } = await machine();
    const wish = { suite: "stable", origin: "Grafana", codename: "stable", signer: other };
    const theirs = await archive("theirs", wish);
    const ours = await archive("ours", {});
    const key = writeKeyring(folder, other.key);
    const last = { "zz.list": `deb ${ours} trixie main\n` };
    for (const option of ["", `[signed-by=${key}] `, `[signed-by=${other.fingerprint}] `]) {
      const first = { "aa.list": `deb ${option}${theirs} stable main\n` };
      expect(await taken({ ...first, ...last })).toBe(ours);
    }
  });

  test("one that calls itself trixie and Debian, but is signed by another, is not", async () => {
    const { archive, taken } = await machine();
    const theirs = await archive("theirs", { signer: other });
    const ours = await archive("ours", {});
    const lists = {
      "aa.list": `deb ${theirs} trixie main\n`,
      "zz.list": `deb ${ours} trixie main\n`,
    };
    expect(await taken(lists)).toBe(ours);
    await expect(
      taken({ "zz.list": "", "aa.list": `deb ${theirs} trixie main\n` }),
    ).rejects.toMatchObject({ code: "verify-failed" });
  });

  test.each([
    ["another origin", { origin: "Raspbian" }, "Origin Raspbian"],
    ["another codename", { codename: "sid" }, "Codename sid"],
  ])("one with %s is not, though Debian's key has signed it", async (_what, wish, says) => {
    const { archive, taken } = await machine();
    const theirs = await archive("theirs", wish);
    await expect(taken({ "aa.list": `deb ${theirs} trixie main\n` })).rejects.toMatchObject({
      code: "verify-failed",
      hint: expect.stringContaining(says),
    });
    const ours = await archive("ours", {});
    expect(await taken({ "zz.list": `deb ${ours} trixie main\n` })).toBe(ours);
  });

  test("a machine that names only third parties is refused with the reason", async () => {
    const { archive, taken, folder } = await machine();
    const theirs = await archive("theirs", { suite: "stable", signer: other });
    const key = writeKeyring(folder, other.key);
    await expect(
      taken({ "aa.list": `deb [signed-by=${key}] ${theirs} stable main\n` }),
    ).rejects.toMatchObject({
      code: "platform-unsupported",
      message: expect.stringContaining("another key than Debian's"),
    });
  });

  test("without Debian's keys the package that has them is named", async () => {
    const folder = temporaryFolder();
    const etc = join(folder, "etc");
    writeFiles(etc, { "sources.list": "deb http://mirror.example/debian trixie main\n" });
    await expect(
      resolveDebianSuite("trixie", { etc, keyrings: join(folder, "keyrings") }),
    ).rejects.toMatchObject({
      code: "toolchain-missing",
      hint: expect.stringContaining("debian-archive-keyring"),
    });
    // a file that is no keyring does not help
    writeFiles(etc, { "trusted.gpg.d/debian-archive-x.gpg": "" });
    writeFileSync(join(etc, "trusted.gpg.d/other.gpg"), "");
    await expect(
      resolveDebianSuite("trixie", { etc, keyrings: join(folder, "keyrings") }),
    ).rejects.toMatchObject({ code: "toolchain-missing" });
  });
});

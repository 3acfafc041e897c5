import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  parseSources,
  parseSourcesList,
  pickArchives,
  readMachineArchives,
} from "../../../../src/sources/debian/machine-archive.js";
import { writeDebianKeyring } from "../../../support/debian-archive.js";
import { makeSigner } from "../../../support/pgp.js";
import { temporaryFolder, writeFiles } from "./packages.js";

const DEB822 = `
Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Trusted: yes
Signed-By: KEYRING

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
KEY

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main
`;

const ONE_LINE = `
# deb http://off.example/debian trixie main
deb [arch=amd64 signed-by=KEYRING trusted=yes] http://mirror.example/debian bookworm main non-free
deb-src http://mirror.example/debian bookworm-updates main # comment
deb http://mirror.example/debian-security bookworm-security main
deb cdrom:[Debian]/ bookworm main
deb https://other.example/repo stable extra
`;

let keyrings = "";
let keyring = "";
let block = "";

beforeAll(async () => {
  const signer = await makeSigner();
  keyrings = mkdtempSync(join(tmpdir(), "nffi-keyrings-"));
  writeDebianKeyring(keyrings, signer);
  keyring = join(keyrings, "debian-archive-keyring.gpg");
  const armored = signer.key.toPublic().armor().trim().split(/\r?\n/);
  block = armored.map((line) => ` ${line || "."}`).join("\n");
});
afterAll(() => rmSync(keyrings, { recursive: true }));

const withKeys = (text: string) => text.replaceAll("KEYRING", keyring).replaceAll(/^KEY$/gm, block);

describe("readMachineArchives", () => {
  it("reads mirror and key from deb822 files, but not that they are trusted unsigned", async () => {
    const etc = temporaryFolder();
    writeFiles(etc, { "sources.list.d/debian.sources": withKeys(DEB822) });
    const [archive] = await readMachineArchives("trixie", { etc, keyrings });
    expect(archive.main).toEqual({
      uris: ["http://mirror.example/debian"],
      signedBy: keyring,
    });
    expect(archive.updates).toEqual(archive.main);
    expect(archive.security?.uris).toEqual(["http://mirror.example/debian-security"]);
    expect(archive.security?.signedBy).toBe(keyring);
  });

  it("reads one-line files", async () => {
    const etc = temporaryFolder();
    writeFiles(etc, { "sources.list": withKeys(ONE_LINE) });
    const [archive] = await readMachineArchives("trixie", { etc, keyrings });
    expect(archive.main).toEqual({ uris: ["http://mirror.example/debian"], signedBy: keyring });
    expect(archive.updates?.signedBy).toBe(keyring);
    expect(archive.security?.uris).toEqual(["http://mirror.example/debian-security"]);
  });

  it("ignores files that apt ignores", async () => {
    const etc = temporaryFolder();
    writeFiles(etc, { "sources.list.d/debian.sources.disabled": DEB822 });
    await expect(readMachineArchives("trixie", { etc, keyrings })).rejects.toMatchObject({
      code: "platform-unsupported",
      hint: expect.stringContaining("--source official"),
    });
  });

  it("refuses a machine whose apt names another distribution only", async () => {
    const etc = temporaryFolder();
    writeFiles(etc, {
      "sources.list": "deb http://archive.example/ubuntu noble main universe\n",
    });
    await expect(readMachineArchives("trixie", { etc, keyrings })).rejects.toThrow(
      `no Debian archive is named in ${join(etc)}`,
    );
  });
});

describe("pickArchives", () => {
  const old = parseSourcesList("deb http://old.example/debian bullseye main\n");
  const wanted = parseSourcesList("deb http://new.example/debian trixie main\n");

  it("prefers the entry that names the requested suite", () => {
    const [archive] = pickArchives([...old, ...wanted], "trixie");
    expect(archive?.main.uris).toEqual(["http://new.example/debian"]);
  });

  it("takes the entry of another suite otherwise", () => {
    expect(pickArchives(old, "trixie")[0]?.main.uris).toEqual(["http://old.example/debian"]);
  });

  it("leaves out updates and security when the machine has none", () => {
    const [archive] = pickArchives(old, "trixie");
    expect([archive?.updates, archive?.security]).toEqual([undefined, undefined]);
  });
});

describe("parseSources", () => {
  it("leaves out disabled entries", () => {
    const uris = parseSources(DEB822).flatMap((entry) => entry.uris);
    expect(uris).not.toContain("http://off.example/debian");
  });
});

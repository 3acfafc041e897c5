import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  parseSources,
  parseSourcesList,
  pickArchive,
  readMachineArchive,
} from "../../../../src/sources/debian/machine-archive.js";
import { temporaryFolder, writeFiles } from "./packages.js";

const DEB822 = `
Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Trusted: yes
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBFX
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: trixie
Components: main
`;

const ONE_LINE = `
# deb http://off.example/debian trixie main
deb [arch=amd64 signed-by=/k.gpg trusted=yes] http://mirror.example/debian bookworm main non-free
deb-src http://mirror.example/debian bookworm-updates main # comment
deb http://mirror.example/debian-security bookworm-security main
deb cdrom:[Debian]/ bookworm main
deb https://other.example/repo stable extra
`;

describe("readMachineArchive", () => {
  it("reads mirror and key from deb822 files, but not that they are trusted unsigned", async () => {
    const etc = temporaryFolder();
    writeFiles(etc, { "sources.list.d/debian.sources": DEB822 });
    const archive = await readMachineArchive("trixie", etc);
    expect(archive.main).toEqual({
      uris: ["http://mirror.example/debian"],
      signedBy: "/usr/share/keyrings/debian-archive-keyring.gpg",
    });
    expect(archive.updates).toEqual(archive.main);
    expect(archive.security?.uris).toEqual(["http://mirror.example/debian-security"]);
    expect(archive.security?.signedBy).toContain("\n.\nmQINBFX\n");
  });

  it("reads one-line files", async () => {
    const etc = temporaryFolder();
    writeFiles(etc, { "sources.list": ONE_LINE });
    const archive = await readMachineArchive("trixie", etc);
    expect(archive.main).toEqual({ uris: ["http://mirror.example/debian"], signedBy: "/k.gpg" });
    expect(archive.updates?.signedBy).toBeUndefined();
    expect(archive.security?.uris).toEqual(["http://mirror.example/debian-security"]);
  });

  it("ignores files that apt ignores", async () => {
    const etc = temporaryFolder();
    writeFiles(etc, { "sources.list.d/debian.sources.disabled": DEB822 });
    await expect(readMachineArchive("trixie", etc)).rejects.toMatchObject({
      code: "platform-unsupported",
      hint: expect.stringContaining("--source official"),
    });
  });

  it("refuses a machine whose apt names another distribution only", async () => {
    const etc = temporaryFolder();
    writeFiles(etc, {
      "sources.list": "deb http://archive.example/ubuntu noble main universe\n",
    });
    await expect(readMachineArchive("trixie", etc)).rejects.toThrow(
      `no Debian archive is named in ${join(etc)}`,
    );
  });
});

describe("pickArchive", () => {
  const old = parseSourcesList("deb http://old.example/debian bullseye main\n");
  const wanted = parseSourcesList("deb http://new.example/debian trixie main\n");

  it("prefers the entry that names the wanted suite", () => {
    const archive = pickArchive([...old, ...wanted], "trixie");
    expect(archive?.main.uris).toEqual(["http://new.example/debian"]);
  });

  it("takes that of another suite otherwise", () => {
    expect(pickArchive(old, "trixie")?.main.uris).toEqual(["http://old.example/debian"]);
  });

  it("leaves out updates and security when the machine has none", () => {
    const archive = pickArchive(old, "trixie");
    expect([archive?.updates, archive?.security]).toEqual([undefined, undefined]);
  });
});

describe("parseSources", () => {
  it("leaves out disabled entries", () => {
    const uris = parseSources(DEB822).flatMap((entry) => entry.uris);
    expect(uris).not.toContain("http://off.example/debian");
  });
});

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  type PrivateApt,
  preparePrivateApt,
  renderConfig,
  renderSources,
  updateIndex,
} from "../../../../src/sources/debian/private-apt.js";
import { completed, temporaryFolder, writeFiles } from "./packages.js";

const place = { uris: ["http://mirror.example/debian"], signedBy: "/k.gpg" };
const request = {
  dir: "/state",
  suite: "trixie",
  archive: { main: place, updates: undefined, security: { ...place, signedBy: "a\nb" } },
  withBinaries: false,
};

describe("renderSources", () => {
  it("names the requested suite, its security suite and the machine's keys", () => {
    expect(renderSources(request)).toBe(
      "Types: deb-src\nURIs: http://mirror.example/debian\nSuites: trixie\n" +
        "Components: main\nSigned-By: /k.gpg\n\n" +
        "Types: deb-src\nURIs: http://mirror.example/debian\nSuites: trixie-security\n" +
        "Components: main\nSigned-By: a\n b\n",
    );
  });
});

describe("renderConfig", () => {
  const dump = [
    'Acquire::http::Proxy "http://proxy.example:3128";',
    'Acquire::AllowInsecureRepositories "1";',
    'APT::Update::Post-Invoke:: "touch /tmp/hook";',
    'Acquire::Check-Valid-Until "false";',
  ].join("\n");
  const config = renderConfig("/state", dump);

  it("keeps the machine's proxy and dates", () => {
    expect(config).toContain('Acquire::http::Proxy "http://proxy.example:3128";');
    expect(config).toContain('Acquire::Check-Valid-Until "false";');
  });

  it("keeps neither hooks nor the permission to read unsigned indexes", () => {
    expect(config).not.toContain("Post-Invoke");
    expect(config).not.toContain('AllowInsecureRepositories "1"');
    expect(config).toContain('Acquire::AllowInsecureRepositories "false";');
  });

  it("moves every directory that apt writes to", () => {
    expect(config).toContain('Dir::State "/state/state";');
    expect(config).toContain('Dir::Cache "/state/cache";');
  });
});

describe("preparePrivateApt", () => {
  it("writes a configuration that other users cannot read, as it may hold a password", async () => {
    const dir = temporaryFolder();
    await preparePrivateApt({ ...request, dir }, {});
    expect(statSync(join(dir, "apt.conf")).mode & 0o777).toBe(0o600);
  });
});

describe("the configuration of the machine", () => {
  const dumpOf = (env: NodeJS.ProcessEnv) =>
    execFileSync("apt-config", ["dump"], { encoding: "utf8", env: { ...process.env, ...env } });

  it("in parts is not read after ours, where it would win and its hooks would run", async () => {
    // the machine: its own main file, and a part that would switch verification off
    const machine = temporaryFolder();
    writeFiles(machine, {
      "parts/99mine":
        'Acquire::AllowInsecureRepositories "true";\nDPkg::Post-Invoke { "mine"; };\n',
      "apt.conf": `Dir::Etc::parts "${machine}/parts";\n`,
    });
    expect(dumpOf({ APT_CONFIG: join(machine, "apt.conf") })).toContain('"mine"');

    const dir = temporaryFolder();
    const env = { ...process.env, APT_CONFIG: join(machine, "apt.conf") };
    const apt = await preparePrivateApt({ ...request, dir }, { env });
    const { stdout } = await apt.run("apt-config", ["dump"], { env });
    expect(stdout).toContain('Acquire::AllowInsecureRepositories "false";');
    expect(stdout).not.toContain('"mine"');
    expect(stdout).toContain(`Dir::Etc::parts "${dir}/etc/parts";`);
    expect(stdout).toContain(`Dir::Etc::main "${dir}/etc/none.conf";`);
    // and neither are the real ones, which every Debian has
    for (const name of readdirSync("/etc/apt/apt.conf.d")) {
      const text = readFileSync(join("/etc/apt/apt.conf.d", name), "utf8");
      for (const [, hook = ""] of text.matchAll(/^ *"([^"\n]{20,})";/gm)) {
        expect(stdout).not.toContain(hook);
      }
    }
    expect(stdout).not.toContain("APT::NeverAutoRemove");
  });
});

describe("updateIndex", () => {
  const apt = (stderr: string, dir = temporaryFolder()): PrivateApt => ({
    dir,
    suite: "trixie",
    run: async () => completed({ exitCode: stderr ? 100 : 0, stderr }),
  });
  const unreachable = "E: Failed to fetch http://mirror.example/x  Could not connect";

  it("says that the index is fresh", async () => {
    expect(await updateIndex(apt(""), {})).toBe("fresh");
  });

  it("uses the index of an earlier run when the mirror is out of reach", async () => {
    const dir = temporaryFolder();
    writeFiles(dir, { "state/lists/mirror_dists_trixie_main_source_Sources.gz": "" });
    expect(await updateIndex(apt(unreachable, dir), {})).toBe("stale");
  });

  it("fails when the mirror is out of reach and nothing is there", async () => {
    const dir = temporaryFolder();
    writeFiles(dir, { "state/lists/lock": "" });
    await expect(updateIndex(apt(unreachable, dir), {})).rejects.toMatchObject({
      code: "fetch-failed",
      message: expect.stringContaining("Could not connect"),
    });
  });

  it("never falls back on an old index when the signature is wrong", async () => {
    const dir = temporaryFolder();
    writeFiles(dir, { "state/lists/mirror_Sources": "" });
    const stderr = "W: GPG error: http://mirror.example trixie InRelease: NO_PUBKEY 6ED0E7B8";
    await expect(updateIndex(apt(stderr, dir), {})).rejects.toMatchObject({
      code: "verify-failed",
      hint: expect.stringContaining("debian-archive-keyring"),
    });
  });

  it("names the suite that the mirror does not have", async () => {
    const stderr =
      "E: The repository 'http://m.example trixie Release' does not have a Release file.";
    await expect(updateIndex(apt(stderr), {})).rejects.toMatchObject({
      code: "fetch-failed",
      message: expect.stringContaining("no trixie"),
    });
  });
});

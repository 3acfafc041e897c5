// The tarball of `npm pack`: what it holds, and that npm installs it without the repository.
// docker.test.ts builds with the installed package.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { publint } from "publint";
import { beforeAll, describe, expect, test } from "vitest";
import {
  findPrebuilt,
  installPrebuilt,
  isPrebuilt,
  PREBUILT_PLACES,
} from "../../src/attach/prebuilt.js";
import { PROTECTIONS, protectionsOf, versionsNeeded } from "../../src/io/elf.js";
import { weaknessesOf } from "../../src/pipeline/hardening.js";
import { copyCheckout, sourcesIn } from "../support/checkout.js";
import { repository, runProgram } from "../support/cli.js";
import { prebuiltFiles } from "../support/prebuilt.js";
import { temporaryFolderOfAll } from "../support/temporary.js";

const quiet = { npm_config_loglevel: "error" };

describe("the tarball", () => {
  const folder = temporaryFolderOfAll();
  let tarball = "";

  beforeAll(async () => {
    await prebuiltFiles();
    const checkout = join(folder, "checkout");
    // npm pack compiles into dist/, which other tests read
    copyCheckout(checkout, ["dist", "node_modules", "prebuilt"]);
    // compiled files whose source was deleted
    writeFileSync(join(checkout, "dist/gone.js"), "");
    const packed = join(folder, "packed");
    mkdirSync(packed);
    await runProgram("npm", ["pack", "--pack-destination", packed], { cwd: checkout, env: quiet });
    const [name = ""] = readdirSync(packed);
    expect(name).toMatch(/^nffi-\d+\.\d+\.\d+\.tgz$/);
    tarball = join(packed, name);
  });

  test("holds what is needed and nothing else", () => {
    const { files: prebuilt } = JSON.parse(
      readFileSync(join(repository, "prebuilt/manifest.json"), "utf8"),
    );
    const listed = execFileSync("tar", ["-tzf", tarball], { encoding: "utf8" });
    const all = listed.trim().split("\n");
    const files = all.filter((path) => !path.startsWith("package/node_modules/"));
    const folders = ["bench/compare", "bin", "c-src", "lua", "patches", "templates"];
    const sources = folders.flatMap(sourcesIn);
    const expected = [
      ...["CHANGELOG.md", "LICENSE", "README.md", "package.json"],
      ...sources.filter(
        (path) =>
          !/^c-src\/sdk\/(\w+\/test\/|go\/.*_test\.go$|rust\/(Cargo\.lock|tests\/))/.test(path),
      ),
      ...["manifest.json", ...Object.keys(prebuilt)].map((path) => `prebuilt/${path}`),
      ...sourcesIn("src").flatMap((path) => [".js", ".d.ts"].map((end) => compiled(path, end))),
    ];
    expect(files.map((path) => path.replace(/^package\//, "")).sort()).toEqual(expected.sort());
    expect(expected).toContain("dist/node-runtime/handler.d.ts");
  });

  test("holds the dependencies that package-lock.json pins, in exactly those versions", () => {
    const unpacked = join(folder, "unpacked");
    mkdirSync(unpacked);
    execFileSync("tar", ["-xzf", tarball, "-C", unpacked]);
    expect(versionsIn(join(unpacked, "package"))).toEqual(pinned());
  });

  test("carries files for this machine and another, which were built of these sources", async () => {
    const dir = join(folder, "unpacked/package/prebuilt");
    for (const arch of ["x64", "arm64"]) {
      const platform = { os: "linux", arch, glibc: "2.31", kernel: "6.1.0", cpus: 1 };
      const found = await findPrebuilt({ dir, platform });
      if (!isPrebuilt(found)) throw new Error(found.reason);
      expect(found.files.map(({ name }) => name).sort()).toEqual(
        Object.keys(PREBUILT_PLACES).sort(),
      );
      for (const { file } of found.files) await requireReleasable(file);
    }
    const here = await findPrebuilt({ dir });
    if (!isPrebuilt(here)) throw new Error(here.reason);
    const nffi = join(folder, "nffi");
    await installPrebuilt(here, nffi);
    const code = `console.log(typeof require("${nffi}/node/nffi.node").attach)`;
    expect(execFileSync(process.execPath, ["-e", code], { encoding: "utf8" })).toBe("function\n");
  });

  test("passes publint", async () => {
    const { buffer } = Uint8Array.from(readFileSync(tarball));
    const { messages } = await publint({ pack: { tarball: buffer }, strict: true });
    expect(messages).toEqual([]);
  });

  test("is installed into an empty project, whose npx runs it", async () => {
    const cwd = join(folder, "project");
    mkdirSync(cwd);
    writeFileSync(join(cwd, "package.json"), '{ "private": true }');
    const options = { cwd, env: { ...quiet, XDG_CACHE_HOME: join(folder, "cache") } };
    // no registry is asked and no script is run
    const install = ["install", "--no-audit", "--no-fund", "--offline", tarball];
    const cache = { npm_config_cache: join(folder, "npm"), npm_config_loglevel: "warn" };
    const installed = await runProgram("npm", install, { cwd, env: { ...options.env, ...cache } });
    expect(installed).toMatchObject({ exitCode: 0, stderr: "" });
    expect(readdirSync(join(cwd, "node_modules")).filter((name) => !name.startsWith("."))).toEqual([
      "nffi",
    ]);
    expect(versionsIn(join(cwd, "node_modules/nffi"))).toEqual(pinned());
    const help = await runProgram("npx", ["--no-install", "nffi", "--help"], options);
    expect(help.stderr).toBe("");
    expect(help.stdout).toContain("Usage: nffi");
    const api = 'import("nffi").then(({ build }) => console.log(typeof build))';
    const used = await runProgram(process.execPath, ["-e", api], options);
    expect(used.stdout).toBe("function\n");
  });
});

/** Throws if a file needs a glibc newer than 2.31, or lacks a protection of the linker. */
async function requireReleasable(file: string): Promise<void> {
  for (const version of (await versionsNeeded(file)) ?? []) {
    const minor = /^GLIBC_2\.(\d+)/.exec(version)?.[1];
    if (minor !== undefined) expect(Number(minor), `${file} ${version}`).toBeLessThanOrEqual(31);
    else expect(version).toMatch(/^NFFI_/);
  }
  expect(weaknessesOf({ [file]: (await protectionsOf(file)) ?? PROTECTIONS })).toEqual([]);
}

/** The versions of the installed packages, by path. */
function versionsIn(dir: string): Record<string, string> {
  const entries = readdirSync(dir, { recursive: true }).map(String);
  const packages = entries.filter((path) =>
    /(^|\/)node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(path),
  );
  const versions = packages.map((path) => {
    const { version } = JSON.parse(readFileSync(join(dir, path), "utf8"));
    return [path.replace(/\/package\.json$/, ""), version];
  });
  return Object.fromEntries(versions.sort(([a = ""], [b = ""]) => (a < b ? -1 : 1)));
}

/** What package-lock.json names besides tools for development. */
function pinned(): Record<string, string> {
  const { packages } = JSON.parse(readFileSync(join(repository, "package-lock.json"), "utf8"));
  const paths = Object.keys(packages).filter((path) => path !== "" && !packages[path].dev);
  return Object.fromEntries(paths.sort().map((path) => [path, packages[path].version]));
}

function compiled(source: string, ending: string): string {
  return source.replace(/^src\//, "dist/").replace(/\.ts$/, ending);
}

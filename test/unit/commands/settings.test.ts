// The command line goes before the environment, that before nffi.config.json, that before defaults:
// for each option, for the prefix of a product, and for the download that `nffi attach` needs.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { expect, test } from "vitest";
import { officialRequestOf } from "../../../src/commands/build-options.js";
import type { CommandContext } from "../../../src/commands/context.js";
import { applySettings, productWishOf } from "../../../src/commands/settings.js";
import { collect, wholeNumber } from "../../../src/commands/source-options.js";
import { namedPrefix, prefixOf } from "../../../src/pipeline/product.js";
import { temporaryFolder } from "../../support/temporary.js";

interface Given {
  argv?: string[];
  env?: Record<string, string>;
  config?: unknown;
  below?: string;
}

async function optionsOf({ argv = [], env = {}, config, below = "" }: Given) {
  const folder = temporaryFolder();
  const cwd = join(folder, below);
  mkdirSync(cwd, { recursive: true });
  if (config !== undefined) writeFileSync(join(folder, "nffi.config.json"), textOf(config));
  const command = new Command("build")
    .option("--source <source>", "", "auto")
    .option("--mirror <url>", "", collect)
    .option("--work-dir <dir>", "")
    .option("--jobs <n>", "", wholeNumber(1, 8))
    .option("--keep", "")
    .option("--insecure-skip-verification", "");
  command.parse(argv, { from: "user" });
  const settings = await applySettings(command, { env, cwd } as unknown as CommandContext);
  return { folder, ...settings, ...command.opts() };
}

const textOf = (config: unknown) => (typeof config === "string" ? config : JSON.stringify(config));

test("the command line wins, then the environment, then the file, then the default", async () => {
  const config = { jobs: 2, source: "official" };
  const env = { NFFI_JOBS: "3" };
  expect(await optionsOf({ argv: ["--jobs", "4"], env, config })).toMatchObject({ jobs: 4 });
  expect(await optionsOf({ env, config })).toMatchObject({ jobs: 3, source: "official" });
  expect(await optionsOf({ config })).toMatchObject({ jobs: 2 });
  expect(await optionsOf({})).toMatchObject({ source: "auto", configure: [] });
});

test("the prefix of a product comes from the same places, in the same order", async () => {
  const folder = temporaryFolder();
  const cwd = join(folder, "below");
  mkdirSync(cwd);
  const found = async (prefix: string | undefined, env: Record<string, string>) =>
    prefixOf(await productWishOf(prefix, { env, cwd } as unknown as CommandContext));
  const env = { NFFI_PREFIX: "from-env" };
  expect(await found(undefined, {})).toEqual({
    prefix: join(cwd, ".nffi/openresty"),
    foundBy: "default",
  });
  writeFileSync(join(folder, "nffi.config.json"), JSON.stringify({ prefix: "from-file" }));
  for (const [prefix, given, foundBy, path] of [
    ["from-option", env, "--prefix", join(cwd, "from-option")],
    [undefined, env, "NFFI_PREFIX", join(cwd, "from-env")],
    [undefined, { NFFI_PREFIX: "" }, "nffi.config.json", join(folder, "from-file")],
  ] as const) {
    expect(await found(prefix, given)).toEqual({ prefix: path, foundBy });
  }
  const wish = { prefix: undefined, env: {}, cwd };
  expect(namedPrefix(wish), "nffi attach has another default").toBeUndefined();
});

test("the download of nffi attach comes from the mirrors of the environment and the file", async () => {
  const cwd = temporaryFolder();
  const request = (env: Record<string, string>) =>
    officialRequestOf("1.27.1.2", { env, cwd } as unknown as CommandContext);
  expect((await request({})).mirrors).toEqual(["https://openresty.org/download"]);
  const config = {
    mirror: ["https://file"],
    openresty: "1.25.3.1",
    source: "debian",
    sha256: "00",
  };
  writeFileSync(join(cwd, "nffi.config.json"), JSON.stringify(config));
  expect(await request({})).toMatchObject({
    ...{ mirrors: ["https://file"], release: "1.27.1.2", source: "official", sha256: undefined },
  });
  expect((await request({ NFFI_MIRROR: "https://env" })).mirrors).toEqual(["https://env"]);
});

test("lists: an array in the file, separated in the environment", async () => {
  const config = { mirror: ["https://a", "https://b"], configure: ["--with-debug"] };
  const mirror = ["https://a", "https://b"];
  expect(await optionsOf({ config })).toMatchObject({ mirror, configure: ["--with-debug"] });
  expect(await optionsOf({ env: { NFFI_MIRROR: "https://a, https://b" } })).toMatchObject({
    mirror,
  });
});

test("flags can be set and not set", async () => {
  expect(await optionsOf({ config: { keep: true } })).toMatchObject({ keep: true });
  const unset = await optionsOf({ config: { keep: true }, env: { NFFI_KEEP: "0" } });
  expect(unset).toMatchObject({ keep: false });
});

test("a path in the file is relative to its directory, also for directories below", async () => {
  const config = { workDir: "work", source: "./tree" };
  const found = await optionsOf({ config, below: "a/b" });
  expect(found).toMatchObject({
    workDir: join(found.folder, "work"),
    source: join(found.folder, "tree"),
  });
});

test("a source in the file is a path unless it is a word of nffi or a URL", async () => {
  for (const source of ["src.tar.gz", "trees/openresty"]) {
    const found = await optionsOf({ config: { source }, below: "a" });
    expect(found).toMatchObject({ source: join(found.folder, source) });
  }
  for (const source of ["auto", "official", "debian", "debian:trixie", "https://x/y", "file:///y"])
    expect(await optionsOf({ config: { source } })).toMatchObject({ source });
});

test("verification is never skipped by a file or a variable", async () => {
  const env = { NFFI_INSECURE_SKIP_VERIFICATION: "1" };
  expect(await optionsOf({ env })).not.toHaveProperty("insecureSkipVerification");
  const config = { insecureSkipVerification: true };
  await expect(optionsOf({ config })).rejects.toThrow("unknown option");
});

test.each<[string, Given, string]>([
  ["an unknown key", { config: { colour: true } }, 'unknown option "colour"'],
  ["no JSON", { config: "{" }, "nffi.config.json: "],
  ["no object", { config: [] }, "is not a JSON object"],
  ["a wrong number", { config: { jobs: 99 } }, '"99" is invalid'],
  ["a flag of text", { config: { keep: "yes" } }, "must be true or false"],
  ["a list where there is none", { config: { source: ["a"] } }, "must be text or a number"],
  ["configure as a text", { config: { configure: "--x" } }, "must be a list of texts"],
  ["an empty path", { config: { workDir: "" } }, "is empty"],
  ["a wrong variable", { env: { NFFI_JOBS: "many" } }, 'NFFI_JOBS: "many" is invalid'],
])("%s is refused", async (_name, given, says) => {
  await expect(optionsOf(given)).rejects.toThrow(says);
});

test("a path in the file is a text", async () => {
  await expect(optionsOf({ config: { workDir: 5 } })).rejects.toThrow(
    /"workDir" in .* must be a path in quotes/,
  );
  const folder = temporaryFolder();
  writeFileSync(join(folder, "nffi.config.json"), JSON.stringify({ prefix: 5 }));
  const context = { env: {}, cwd: folder } as unknown as CommandContext;
  await expect(productWishOf(undefined, context)).rejects.toThrow(/"prefix" in .* must be a path/);
});

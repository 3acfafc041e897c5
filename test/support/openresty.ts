// The OpenResty that the end-to-end tests run: built by the real `nffi build` once for each Debian
// suite into .nffi/test/<suite> and shared by all test files. A key of everything that goes into a
// build decides whether it is used again; the kept build directory makes a second one incremental.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { acquireLock } from "../../src/io/lock.js";
import { type AttachedSuite, attachedProduct, isAttachedSuite } from "./attached-product.js";
import { repository, runCli } from "./cli.js";
import { withoutSharing } from "./compile-cache.js";
import { CONFIGURE_ARGS, FAST_LUAJIT, MODULES } from "./configure-args.js";
import { hashOfInputs } from "./inputs.js";

export type BuiltSuite = "trixie" | "bookworm";
export type Suite = BuiltSuite | AttachedSuite;

export const allSuites: readonly BuiltSuite[] = ["trixie", "bookworm"];

/** Returns true for the nginx of Debian 12, 1.22.1. */
export function isOfBookworm(suite: Suite): boolean {
  return suite === "bookworm" || suite === "debian-12";
}

/** NFFI_TEST_SUITES=trixie saves time while working on something else. */
const wanted = (process.env.NFFI_TEST_SUITES ?? allSuites.join(",")).split(",");

/** The suites whose product `nffi build` makes. */
export const builtSuites = allSuites.filter((suite) => wanted.includes(suite));

/**
 * Tests of another suite are skipped, and counted as such. An nginx with nffi attached takes the
 * place of a built one: the projects of vitest.config.ts name it.
 */
export const suites: readonly Suite[] = [...builtSuites, ...wanted.filter(isAttachedSuite)];

/** The suite for tests that need only one. */
export const anySuite: Suite = suites[0] ?? "trixie";

/** The flavour under test: `asan` where a project of vitest.config.ts says so. */
export const flavor = process.env.NFFI_TEST_FLAVOR ?? "release";

/** The prefix of a suite's OpenResty, which is built first if anything has changed. */
export async function builtOpenresty(suite: Suite = anySuite): Promise<string> {
  // another build, such as one with sanitizers, under the same tests
  if (process.env.NFFI_TEST_PREFIX) return process.env.NFFI_TEST_PREFIX;
  if (isAttachedSuite(suite)) return attachedProduct(suite);
  const folder = folderOf(suite);
  mkdirSync(folder, { recursive: true });
  const lock = await acquireLock(folder, { wait: true });
  try {
    await unlessBuilt(folder, buildArgs(suite), async () => {
      console.log(
        `building OpenResty from Debian ${suite}, ${flavor} (minutes; logs: ${folder}/work/logs)`,
      );
      const isShared = suite === "trixie" && flavor === "release";
      const built = await runCli(buildArgs(suite), { env: isShared ? {} : withoutSharing });
      if (built.exitCode !== 0)
        throw new Error(`nffi build failed:\n${built.stdout}${built.stderr}`);
    });
    return join(folder, "openresty");
  } finally {
    await lock.release();
  }
}

/**
 * Builds what belongs into `folder`, which the caller has locked, unless the same sources and
 * `args` have built it before.
 */
export async function unlessBuilt(
  folder: string,
  args: readonly string[],
  build: () => Promise<void>,
): Promise<void> {
  const keyFile = join(folder, "key");
  const compiler = spawnSync(process.env.CC ?? "cc", ["--version"], { encoding: "utf8" });
  const key = hashOfInputs(INPUTS, [compiler.stdout ?? "", ...args]);
  if (readOrEmpty(keyFile) === key) return;
  writeFileSync(keyFile, "");
  await build();
  writeFileSync(keyFile, key);
}

/**
 * The command line that builds it, with `options`. Turns on tested features that are off by
 * default.
 */
export function buildArgs(suite: Suite, options: readonly string[] = []): string[] {
  const folder = folderOf(suite);
  return [
    ...["build", "--source", `debian:${isAttachedSuite(suite) ? "trixie" : suite}`, "--keep"],
    ...["--prefix", join(folder, "openresty"), "--work-dir", join(folder, "work")],
    ...["--flavor", flavor],
    ...options,
    ...["--", ...configureArgs(suite)],
  ];
}

/** A product whose objects no other one uses is optimised less, and compiled in half the time. */
function configureArgs(suite: Suite): readonly string[] {
  if (flavor === "asan") return [...MODULES, "--with-cc-opt=-O0 -g1", FAST_LUAJIT];
  // FORTIFY, which build-product.test.ts looks for, requires -O1
  if (suite === "bookworm") return [...MODULES, "--with-cc-opt=-O1 -g1", FAST_LUAJIT];
  return CONFIGURE_ARGS;
}

function folderOf(named: Suite): string {
  const suite = isAttachedSuite(named) ? "trixie" : named;
  const name = flavor === "release" ? suite : `${suite}-${flavor}`;
  return join(repository, ".nffi", "test", name);
}

const INPUTS = [
  "bin/nffi-nginx",
  "c-src/Makefile",
  "c-src/include",
  "c-src/lib",
  "c-src/ngx",
  "c-src/echo",
  "c-src/sdk",
  "c-src/testhost",
  "lua",
  "patches",
  "src/pipeline",
  "src/io",
  "src/node-runtime",
  "src/sources",
];

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

// The prebuilt files of this repository, built if their sources have changed (seconds).
import { mkdirSync, symlinkSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { repository, runProgram } from "./cli.js";

/** The directory that scripts/prebuild.mjs caches the compiler in. */
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "nffi-release");

/** The compiler that builds them, which is there after `prebuiltFiles`. */
export const ZIG = join(cache, "ziglang-0.14.1/zig");

/** As scripts/prebuilt/files.mjs has it. */
export const COMPILER_ENV = {
  CCC_OVERRIDE_OPTIONS: "# +-mno-outline-atomics",
  ZIG_GLOBAL_CACHE_DIR: join(cache, "zig"),
  ZIG_LOCAL_CACHE_DIR: join(cache, "zig"),
};

/** Returns the directory that has manifest.json. */
export async function prebuiltFiles(): Promise<string> {
  await runScript(repository, []);
  return join(repository, "prebuilt");
}

/**
 * Builds the files of a copy of the repository, with nothing from an earlier build but the
 * compiler.
 */
export async function prebuiltFilesOf(folder: string, freshCache: string): Promise<string> {
  await prebuiltFiles(); // has installed the compiler
  mkdirSync(freshCache);
  symlinkSync(join(cache, "ziglang-0.14.1"), join(freshCache, "ziglang-0.14.1"));
  await runScript(folder, ["--cache", freshCache]);
  return join(folder, "prebuilt");
}

async function runScript(folder: string, args: readonly string[]): Promise<void> {
  const script = join(folder, "scripts/prebuild.mjs");
  const { exitCode, stderr } = await runProgram(process.execPath, [script, ...args]);
  if (exitCode !== 0) throw new Error(stderr);
}

/**
 * The options of `nffi build`, and the build they ask for. Other commands know them too: those that
 * read the same nffi.config.json, and `nffi cache key`.
 */
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { defaultPrefix } from "../build/product.js";
import type { BuildRequest } from "../build/request.js";
import { cacheDir } from "../host/environment.js";
import type { CommandContext } from "./context.js";
import { collect } from "./patch.js";
import {
  addSourceOptions,
  type SourceOptions,
  sourceRequestOf,
  wholeNumber,
} from "./source-options.js";

export interface BuildOptions extends SourceOptions {
  prefix?: string;
  jobs?: number;
  workDir?: string;
  keep?: boolean;
  patch?: string[];
  verbose?: boolean;
  quiet?: boolean;
  json?: boolean;
  dryRun?: boolean;
}

/** What a build is made of and where; how it is told is `addTellingOptions`. */
export function addBuildOptions(command: Command): Command {
  return addSourceOptions(command)
    .option("--insecure-skip-verification", "verify nothing; the manifest records it")
    .option("--prefix <dir>", "install here (env: NFFI_PREFIX; default: ./.nffi/openresty)")
    .option("--jobs <n>", "compile with n processes (default: one a CPU)", wholeNumber(1, 1024))
    .option("--work-dir <dir>", "build here (default: in ~/.cache/nffi)")
    .option("--keep", "keep the work folder; the next build compiles only what has changed")
    .option("--patch <file>", "apply this patch, too; can be given several times", collect);
}

export function addTellingOptions(command: Command): Command {
  return command
    .option("--verbose", "show the output of every program")
    .option("--quiet", "print nothing but warnings and errors")
    .option("--json", "print one JSON object a line, see docs/json.md")
    .option("--dry-run", "tell every URL, hash, patch and command; fetch and build nothing");
}

/** A command that is never run: what nffi.config.json may hold, whichever command reads it. */
export function allBuildOptions(): Command {
  return addTellingOptions(addBuildOptions(new Command("build")));
}

export async function buildRequestOf(
  options: BuildOptions,
  configureArgs: readonly string[],
  cpus: number,
  context: CommandContext,
): Promise<BuildRequest> {
  const { env, cwd } = context;
  const prefix = options.prefix ? resolve(cwd, options.prefix) : defaultPrefix(env, cwd);
  return {
    ...(await sourceRequestOf(options, context)),
    prefix,
    workDir: options.workDir
      ? resolve(cwd, options.workDir)
      : join(cacheDir(env), workName(prefix)),
    keep: options.keep ?? false,
    jobs: options.jobs ?? cpus,
    patches: (options.patch ?? []).map((file) => resolve(cwd, file)),
    configureArgs,
  };
}

/** One work folder for each prefix: builds of two prefixes do not meet. */
function workName(prefix: string): string {
  return join("work", createHash("sha256").update(prefix).digest("hex").slice(0, 12));
}

/** `nffi build`: options -> one build -> what was built and how to use it. */
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { build } from "../build/pipeline.js";
import { defaultPrefix, rememberBuild } from "../build/product.js";
import type { BuildRequest } from "../build/request.js";
import { cacheDir } from "../host/environment.js";
import { shipped } from "../host/package.js";
import { currentPlatform } from "../host/platform.js";
import { reporterFor } from "../ui/reporter-for.js";
import type { CommandContext } from "./context.js";
import { collect } from "./patch.js";
import {
  addSourceOptions,
  type SourceOptions,
  sourceRequestOf,
  wholeNumber,
} from "./source-options.js";

interface BuildOptions extends SourceOptions {
  prefix?: string;
  jobs?: number;
  workDir?: string;
  keep?: boolean;
  patch?: string[];
  verbose?: boolean;
}

/** `configureArgs` is what stands after `--` on the command line. */
export function buildCommand(context: CommandContext, configureArgs: readonly string[]): Command {
  const command = new Command("build")
    .description("build an OpenResty that calls TypeScript, Go, Rust and C without blocking")
    .usage("[options] [-- options for configure]");
  return addSourceOptions(command)
    .option("--prefix <dir>", "install here (env: NFFI_PREFIX; default: ./.nffi/openresty)")
    .option("--jobs <n>", "compile with n processes (default: one a CPU)", wholeNumber(1, 1024))
    .option("--work-dir <dir>", "build here (default: in ~/.cache/nffi)")
    .option("--keep", "keep the work folder; the next build compiles only what has changed")
    .option("--patch <file>", "apply this patch, too; can be given several times", collect)
    .option("--verbose", "show the output of every program")
    .action(async (options: BuildOptions) => {
      const platform = currentPlatform();
      const request = await requestOf(options, configureArgs, platform.cpus, context);
      const reporter = reporterFor(context, { verbose: options.verbose ?? false });
      const { env, signal } = context;
      const product = await build(request, { reporter, signal, env, platform, shipped });
      await rememberBuild(product.prefix, env);
      context.print(`built ${product.manifest.source.name}`);
      context.print(`  nginx   ${product.manifest.nginx}`);
      context.print(`  logs    ${join(request.workDir, "logs")}`);
      context.print("next: nffi new-runtime NAME");
    });
}

async function requestOf(
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

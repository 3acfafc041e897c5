/** `nffi build`: options -> one build -> what was built and how to use it. */
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { planBuild } from "../build/dry-run.js";
import { build } from "../build/pipeline.js";
import { defaultPrefix, type Product, rememberBuild } from "../build/product.js";
import type { Reporter } from "../build/reporter.js";
import type { BuildRequest } from "../build/request.js";
import { toNffiError } from "../errors.js";
import { cacheDir } from "../host/environment.js";
import { shipped } from "../host/package.js";
import { currentPlatform } from "../host/platform.js";
import { JsonReporter } from "../ui/json-reporter.js";
import { linesOfPlan } from "../ui/plan-text.js";
import { reporterFor } from "../ui/reporter-for.js";
import type { CommandContext } from "./context.js";
import { collect } from "./patch.js";
import { addSettingsHelp, applySettings } from "./settings.js";
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
  quiet?: boolean;
  json?: boolean;
  dryRun?: boolean;
}

/** `configureArgs` is what stands after `--` on the command line. */
export function buildCommand(context: CommandContext, configureArgs: readonly string[]): Command {
  const command = new Command("build")
    .description("build an OpenResty that calls TypeScript, Go and C without blocking")
    .usage("[options] [-- options for configure]");
  addSettingsHelp(command);
  return addSourceOptions(command)
    .option("--insecure-skip-verification", "verify nothing; the manifest records it")
    .option("--prefix <dir>", "install here (env: NFFI_PREFIX; default: ./.nffi/openresty)")
    .option("--jobs <n>", "compile with n processes (default: one a CPU)", wholeNumber(1, 1024))
    .option("--work-dir <dir>", "build here (default: in ~/.cache/nffi)")
    .option("--keep", "keep the work folder; the next build compiles only what has changed")
    .option("--patch <file>", "apply this patch, too; can be given several times", collect)
    .option("--verbose", "show the output of every program")
    .option("--quiet", "print nothing but warnings and errors")
    .option("--json", "print one JSON object a line, see docs/json.md")
    .option("--dry-run", "tell every URL, hash, patch and command; fetch and build nothing")
    .action(async () => {
      const { configure } = await applySettings(command, context);
      const options: BuildOptions = command.opts();
      const allArgs = [...configure, ...configureArgs];
      const { verbose = false, quiet = false } = options;
      if (options.dryRun) return tellPlan(options, allArgs, context);
      if (options.json) return buildForPrograms(options, allArgs, context);
      const reporter = reporterFor(context, { verbose, quiet });
      const { product, workDir } = await buildAs(options, allArgs, context, reporter);
      if (quiet) return;
      context.print(`built ${product.manifest.source.name}`);
      context.print(`  nginx   ${product.manifest.nginx}`);
      context.print(`  logs    ${join(workDir, "logs")}`);
      context.print("next: nffi new-runtime NAME");
    });
}

async function tellPlan(
  options: BuildOptions,
  configureArgs: readonly string[],
  context: CommandContext,
): Promise<void> {
  const request = await requestOf(options, configureArgs, currentPlatform().cpus, context);
  const plan = await planBuild(request, { env: context.env, shipped });
  if (options.json) return context.print(JSON.stringify({ format: 1, ...plan }, null, 2));
  for (const line of linesOfPlan(plan)) context.print(line);
}

async function buildAs(
  options: BuildOptions,
  configureArgs: readonly string[],
  context: CommandContext,
  reporter: Reporter,
): Promise<{ readonly product: Product; readonly workDir: string }> {
  const platform = currentPlatform();
  const request = await requestOf(options, configureArgs, platform.cpus, context);
  const { env, signal } = context;
  const product = await build(request, { reporter, signal, env, platform, shipped });
  await rememberBuild(product.prefix, env);
  return { product, workDir: request.workDir };
}

/** --json: the last event tells how it ended; a person still finds the error on stderr. */
async function buildForPrograms(
  options: BuildOptions,
  configureArgs: readonly string[],
  context: CommandContext,
): Promise<void> {
  const reporter = new JsonReporter(context.print, options.verbose ?? false);
  try {
    const { product, workDir } = await buildAs(options, configureArgs, context, reporter);
    reporter.built(product, workDir);
  } catch (thrown) {
    const error = toNffiError(context.signal.aborted ? context.signal.reason : thrown);
    reporter.failed(error);
    throw error;
  }
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

/** `nffi build`: options -> one build -> what was built and how to use it. */
import { join } from "node:path";
import type { Command } from "commander";
import { toNffiError } from "../errors.js";
import { shipped } from "../host/package.js";
import { currentPlatform } from "../host/platform.js";
import { shellWord } from "../io/shell-words.js";
import { build } from "../pipeline/build.js";
import { prefixOf, rememberBuild } from "../pipeline/product.js";
import type { Reporter } from "../pipeline/reporter.js";
import type { BuildOutcome } from "../pipeline/unchanged.js";
import { JsonReporter } from "../ui/json-reporter.js";
import { linesOfPlan } from "../ui/plan-text.js";
import { reporterFor } from "../ui/reporter-for.js";
import {
  addBuildOptions,
  addOutputOptions,
  type BuildOptions,
  buildRequestOf,
} from "./build-options.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";
import { addSettingsHelp, applySettings, productWishOf } from "./settings.js";

/** `configureArgs` is what stands after `--` on the command line. */
export function buildCommand(context: CommandContext, configureArgs: readonly string[]): Command {
  const command = declared("build").usage("[options] [-- options for configure]");
  addSettingsHelp(command, { configures: true });
  return addOutputOptions(addBuildOptions(command)).action(async () => {
    const { configure } = await applySettings(command, context);
    const options: BuildOptions = command.opts();
    const allArgs = [...configure, ...configureArgs];
    const { verbose = false, quiet = false } = options;
    if (options.dryRun) return printPlan(options, allArgs, context);
    if (options.json) return buildForPrograms(options, allArgs, context);
    const reporter = reporterFor(context, { verbose, quiet });
    const { outcome, workDir } = await buildAs(options, allArgs, context, reporter);
    if (quiet) return;
    if (outcome.unchanged) for (const line of linesOfUnchanged(outcome)) context.print(line);
    else context.print(`built ${outcome.manifest.source.name}`);
    context.print(`  nginx   ${outcome.manifest.nginx}`);
    if (!outcome.unchanged) context.print(`  logs    ${join(workDir, "logs")}`);
    const prefix = await prefixOption(outcome.prefix, context);
    context.print(`next: ${context.nffi} new-runtime NAME${prefix}`);
  });
}

/** For `new-runtime`, where it would not find this product otherwise. */
async function prefixOption(prefix: string, context: CommandContext): Promise<string> {
  const found = prefixOf(await productWishOf(undefined, context));
  return prefix === found.prefix ? "" : ` --prefix ${shellWord(prefix)}`;
}

function linesOfUnchanged({ manifest }: BuildOutcome): string[] {
  const { kind, name } = manifest.source;
  return [
    `nothing has changed: ${name} is built and installed already`,
    ...(kind === "debian"
      ? ["  Debian's archive was not asked for newer sources; --force does"]
      : []),
  ];
}

async function printPlan(
  options: BuildOptions,
  configureArgs: readonly string[],
  context: CommandContext,
): Promise<void> {
  const request = await buildRequestOf(options, configureArgs, currentPlatform().cpus, context);
  const { planBuild } = await import("../pipeline/dry-run.js");
  const plan = await planBuild(request, { env: context.env, shipped });
  if (options.json) return context.print(JSON.stringify({ format: 1, ...plan }, null, 2));
  if (options.quiet) return; // as in git and cargo: only the exit code reports success
  for (const line of linesOfPlan(plan)) context.print(line);
}

async function buildAs(
  options: BuildOptions,
  configureArgs: readonly string[],
  context: CommandContext,
  reporter: Reporter,
): Promise<{ readonly outcome: BuildOutcome; readonly workDir: string }> {
  const platform = currentPlatform();
  const request = await buildRequestOf(options, configureArgs, platform.cpus, context);
  const { env, signal } = context;
  const outcome = await build(request, { reporter, signal, env, platform, shipped });
  await rememberBuild(outcome.prefix, env);
  return { outcome, workDir: request.workDir };
}

/** --json: the last event has the result; the error is also on stderr for people. */
async function buildForPrograms(
  options: BuildOptions,
  configureArgs: readonly string[],
  context: CommandContext,
): Promise<void> {
  const reporter = new JsonReporter(context.print, options.verbose ?? false);
  try {
    const { outcome, workDir } = await buildAs(options, configureArgs, context, reporter);
    reporter.built(outcome, workDir);
  } catch (thrown) {
    const error = toNffiError(context.signal.aborted ? context.signal.reason : thrown);
    reporter.failed(error);
    throw error;
  }
}

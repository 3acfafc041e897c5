/**
 * The options of `nffi build`, and the build that they request. Other commands use them as well:
 * commands that read the same nffi.config.json, and `nffi cache key`.
 */
import { resolve } from "node:path";
import { Command, Option } from "commander";
import { NffiError } from "../errors.js";
import { cacheDir } from "../host/environment.js";
import type { AddedSources } from "../pipeline/added-sources.js";
import { FLAVOR_NAMES, type FlavorName, flavorOf } from "../pipeline/flavors.js";
import { DEFAULT_PREFIX } from "../pipeline/product.js";
import type { BuildRequest, KeepPolicy, SourceRequest } from "../pipeline/request.js";
import { workFolderOf } from "../pipeline/work-folders.js";
import type { CommandContext } from "./context.js";
import { applySettings } from "./settings.js";
import {
  addSourceOptions,
  collect,
  type SourceOptions,
  sourceRequestOf,
  wholeNumber,
} from "./source-options.js";

/** Options of nffi that configure has too, with the same meaning. */
const OF_CONFIGURE = [
  ...["--with-debug", "--add-module", "--add-dynamic-module"],
  ...["--with-pcre", "--with-zlib", "--with-openssl"],
];

export interface BuildOptions extends SourceOptions {
  prefix?: string;
  overwriteForeign?: boolean;
  jobs?: number;
  workDir?: string;
  keep?: boolean;
  clean?: boolean;
  force?: boolean;
  flavor: FlavorName;
  withDebug?: boolean;
  addModule?: string[];
  addDynamicModule?: string[];
  withPcre?: string;
  withZlib?: string;
  withOpenssl?: string;
  patch?: string[];
  verbose?: boolean;
  quiet?: boolean;
  json?: boolean;
  dryRun?: boolean;
}

/** The inputs of a build and its directories; `addOutputOptions` adds the options for output. */
export function addBuildOptions(command: Command): Command {
  return addSourceOptions(command, "auto, official, debian, debian:SUITE, a file, directory or URL")
    .option("--insecure-skip-verification", "verify nothing; the manifest records it")
    .option("--require-security-patches", "refuse sources that lack Debian's security patches")
    .option("--prefix <dir>", "install here (env: NFFI_PREFIX; default: ./.nffi/openresty)")
    .option("--overwrite-foreign", "replace files in the prefix that nffi did not install")
    .option("--jobs <n>", "compile with n processes (default: one a CPU)", wholeNumber(1, 1024))
    .option("--work-dir <dir>", "build here (default: in ~/.cache/nffi)")
    .option("--force", "build from the beginning, although nothing may have changed")
    .option("--keep", "keep what was compiled even if the build fails")
    .option("--clean", "keep nothing that was compiled; the next build starts from the beginning")
    .addOption(flavorOption())
    .option("--with-debug", "debug logs of nginx, and the assertions of ngx_lua and LuaJIT")
    .option("--add-module <dir>", "compile in this module of nginx; may be repeated", collect)
    .option("--add-dynamic-module <dir>", "the same for load_module; may be repeated", collect)
    .option("--with-pcre <dir>", "link PCRE2 statically, built from the source here")
    .option("--with-zlib <dir>", "the same for zlib")
    .option("--with-openssl <dir>", "the same for OpenSSL")
    .option("--patch <file>", "apply this patch in addition; may be repeated", collect);
}

export function addOutputOptions(command: Command): Command {
  return command
    .option("--verbose", "show the output of every program")
    .option("--quiet", "print nothing but warnings and errors")
    .option("--json", "print one JSON object a line, see docs/json.md")
    .option("--dry-run", "print the build plan (every URL, hash, patch and command) and exit");
}

/** A command that is never run: what nffi.config.json may hold, whichever command reads it. */
export function allBuildOptions(): Command {
  return addOutputOptions(addBuildOptions(new Command("build")));
}

/** The download of an official release, for commands without the options of `nffi fetch`. */
export async function officialRequestOf(
  version: string,
  context: CommandContext,
): Promise<SourceRequest> {
  const command = addSourceOptions(new Command("fetch"), "");
  await applySettings(command, context, allBuildOptions());
  const { sha256: _ofAnother, ...options } = command.opts<SourceOptions>();
  return sourceRequestOf({ ...options, source: "official", openresty: version }, context);
}

export async function buildRequestOf(
  options: BuildOptions,
  configureArgs: readonly string[],
  cpus: number,
  context: CommandContext,
): Promise<BuildRequest> {
  const { env, cwd } = context;
  requireForConfigure(configureArgs);
  const prefix = resolve(cwd, options.prefix || DEFAULT_PREFIX);
  return {
    ...(await sourceRequestOf(options, context)),
    prefix,
    overwriteForeign: options.overwriteForeign ?? false,
    workDir: options.workDir ? resolve(cwd, options.workDir) : workFolderOf(prefix, cacheDir(env)),
    keep: keepPolicyOf(options),
    force: options.force ?? false,
    jobs: options.jobs ?? cpus,
    flavor: options.flavor,
    added: addedSourcesOf(options, cwd),
    patches: (options.patch ?? []).map((file) => resolve(cwd, file)),
    configureArgs: options.withDebug ? ["--with-debug", ...configureArgs] : configureArgs,
  };
}

/** `--prefix` would install elsewhere than nffi expects, and configure knows none of the others. */
function requireForConfigure(configureArgs: readonly string[]): void {
  const own = allBuildOptions().options.flatMap(({ long }) => long ?? []);
  const misplaced = configureArgs
    .map((arg) => arg.replace(/=.*/s, ""))
    .find((word) => own.includes(word) && !OF_CONFIGURE.includes(word));
  if (misplaced === undefined) return;
  throw new NffiError("usage", `${misplaced} is an option of nffi, not of configure`, {
    hint: 'put it before --, or beside "configure" in nffi.config.json',
  });
}

function flavorOption(): Option {
  const flavors = FLAVOR_NAMES.map((name) => `${name}: ${flavorOf(name).title}`).join("; ");
  return new Option("--flavor <name>", flavors).choices(FLAVOR_NAMES).default("release");
}

function keepPolicyOf({ keep, clean }: BuildOptions): KeepPolicy {
  if (keep && clean) {
    throw new NffiError("usage", "--keep does not go with --clean", { hint: "omit one of them" });
  }
  return keep ? "always" : clean ? "never" : "after success";
}

function addedSourcesOf(options: BuildOptions, cwd: string): AddedSources {
  const inCwd = (dir: string) => resolve(cwd, dir);
  const libraries = {
    pcre: options.withPcre,
    zlib: options.withZlib,
    openssl: options.withOpenssl,
  };
  const given = Object.entries(libraries).filter(([, dir]) => dir !== undefined);
  return {
    modules: (options.addModule ?? []).map(inCwd),
    dynamicModules: (options.addDynamicModule ?? []).map(inCwd),
    libraries: Object.fromEntries(given.map(([name, dir]) => [name, inCwd(dir ?? "")])),
  };
}

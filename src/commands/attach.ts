/** `nffi attach`: options -> one product for an existing nginx -> what the user has to do next. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { type AttachOutcome, type AttachRequest, attach } from "../attach/attach.js";
import { findJdk } from "../host/jdk.js";
import { shipped } from "../host/package.js";
import { currentPlatform } from "../host/platform.js";
import { shellWord } from "../io/shell-words.js";
import { fetchArchive } from "../pipeline/fetch-only.js";
import { countOfOwn } from "../pipeline/manifest.js";
import { ATTACHED_PREFIX, namedPrefix } from "../pipeline/product.js";
import { titleOf } from "../pipeline/product-title.js";
import { reporterFor } from "../ui/reporter-for.js";
import { officialRequestOf } from "./build-options.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";
import { productWishOf } from "./settings.js";

interface AttachOptions {
  nginx?: string;
  conf?: string;
  prefix?: string;
  writeConf?: string;
  compile?: boolean;
  nginxSource?: string;
  force?: boolean;
  overwriteForeign?: boolean;
  dryRun?: boolean;
  verbose?: boolean;
  json?: boolean;
}

export function attachCommand(context: CommandContext): Command {
  return declared("attach")
    .option("--nginx <path>", "the nginx to attach to (default: openresty or nginx in PATH)")
    .option("--conf <file>", "the nginx.conf that it runs with (default: as it was compiled)")
    .option(
      "--prefix <dir>",
      `install here (env: NFFI_PREFIX; default: site of an OpenResty that searches it, else ${ATTACHED_PREFIX})`,
    )
    .option("--write-conf <file>", "write the line for nginx.conf into this new file")
    .option("--compile", "compile the glue for this nginx instead of using prebuilt files")
    .option("--nginx-source <dir>", "with --compile: the source of exactly this nginx")
    .option("--force", "try a version of nginx that is older than those that were tested")
    .option("--overwrite-foreign", "replace files in the prefix that nffi did not install")
    .option("--dry-run", "examine nginx and print what would be done; install nothing")
    .option("--verbose", "show what is examined and proven")
    .option("--json", "print the result as one JSON object")
    .action(async (options: AttachOptions) => {
      const warnings: string[] = [];
      const { env, signal } = context;
      const outcome = await attach(await requestOf(options, context), {
        ...{ env, signal, shipped, platform: currentPlatform() },
        log: (text) => options.verbose && !options.json && context.print(text),
        warn: (text) => {
          warnings.push(text);
          if (!options.json) context.print(`warning: ${text}`);
        },
      });
      if (options.json) return context.print(JSON.stringify(jsonOf(outcome, warnings)));
      for (const line of linesOf(outcome, context)) context.print(line);
    });
}

async function requestOf(options: AttachOptions, context: CommandContext): Promise<AttachRequest> {
  const { env, cwd } = context;
  const { arch, cpus } = currentPlatform();
  return {
    nginx: options.nginx,
    conf: options.conf,
    prefix: namedPrefix(await productWishOf(options.prefix, context))?.prefix,
    writeConf: options.writeConf,
    compile: (options.compile ?? false) || options.nginxSource !== undefined,
    nginxSource: options.nginxSource && resolve(cwd, options.nginxSource),
    force: options.force ?? false,
    overwriteForeign: options.overwriteForeign ?? false,
    dryRun: options.dryRun ?? false,
    jdk: await findJdk(env),
    jobs: cpus,
    ...{ env, cwd, arch },
    fetchOpenresty: (version) => fetchOpenresty(version, context),
  };
}

/** Returns the path of the official archive of a release. */
async function fetchOpenresty(version: string, context: CommandContext): Promise<string> {
  const request = await officialRequestOf(version, context);
  const { path } = await fetchArchive(request, {
    reporter: reporterFor(context, { verbose: false }),
    signal: context.signal,
    env: context.env,
    platform: currentPlatform(),
  });
  return path;
}

function jsonOf({ prefix, manifest, hints }: AttachOutcome, warnings: readonly string[]) {
  const { nginx, glue, conf } = manifest ?? {};
  return {
    format: 1,
    prefix,
    installed: manifest !== undefined,
    nginx,
    glue,
    conf: conf?.path,
    hints,
    warnings,
  };
}

function linesOf(outcome: AttachOutcome, context: CommandContext): string[] {
  const { prefix, manifest, wroteConf, hints } = outcome;
  if (manifest === undefined) {
    return [`nffi can be attached; it would be installed in ${prefix}`, ...hints];
  }
  const hasName = [ATTACHED_PREFIX, manifest.existing.includes("lualib") ? prefix : ""];
  const named = hasName.includes(prefix) ? "" : ` --prefix ${shellWord(prefix)}`;
  return [
    `${titleOf(manifest)}: ${countOfOwn(manifest)} files in ${prefix}, and it works`,
    ...(wroteConf ? [`wrote ${manifest.conf?.path}; reload nginx`] : hints),
    ...(wroteConf || hints.length > 0
      ? []
      : ["nginx.conf needs no line: this nginx searches the prefix already; reload nginx"]),
    `next: ${context.nffi} new-runtime NAME${named}`,
  ];
}

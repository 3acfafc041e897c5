/** Runs OpenResty's configure, which also builds LuaJIT and copies bundle/ to build/. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../../host/environment.js";
import {
  compilerIdentity,
  packagesForOpenresty,
  pcreOfNgxLua,
  requirePackages,
} from "../../host/toolchain.js";
import { writeFileWhole } from "../../io/files.js";
import { addedArgs, copyLibraries } from "../added-sources.js";
import type { Compilation } from "../compilation.js";
import { requireComponent } from "../components.js";
import { flavorOf } from "../flavors.js";
import type { BuildRequest } from "../request.js";
import type { Site, SitePaths } from "../site.js";
import type { StepContext } from "../step.js";
import type { CompleteTree } from "./install-files.js";
import type { StagedLibrary } from "./library.js";

declare const configured: unique symbol;

export type ConfiguredTree = CompleteTree & {
  readonly [configured]: true;
  readonly configureArgs: readonly string[];
  /** For make, which may run configure again. */
  readonly env: Readonly<Record<string, string>>;
};

const RECORD = ".nffi-configured.json";

/** Runs only if its options have changed since the last time, as it empties build/. */
export async function configureTree(
  tree: CompleteTree,
  library: StagedLibrary,
  request: BuildRequest,
  site: Site,
  step: StepContext,
): Promise<ConfiguredTree> {
  await requireLibraries(tree, request, step);
  const { compilation, glueEnv } = library;
  const args = configureArgsOf(tree.identity.configureArgs, request, compilation, site, step.env);
  const env = configureEnvOf(compilation, glueEnv);

  const recordFile = join(tree.dir, RECORD);
  const record = JSON.stringify({ args, env, compiler: await compilerIdentity(step.env) });
  const kept = await readFile(recordFile, "utf8").catch(() => undefined);
  const librariesChanged = await copyLibraries(request.added, tree.dir);
  if (kept === record && !librariesChanged) {
    step.note("as an earlier run has left it");
  } else {
    await rm(recordFile, { force: true });
    await rm(join(tree.dir, "build"), { recursive: true, force: true });
    await step.mustRun(
      { program: "./configure", args: [`-j${request.jobs}`, ...args], cwd: tree.dir, env },
      "compile-failed",
      "configure failed",
    );
    await writeFileWhole(recordFile, record);
  }
  return {
    ...tree,
    configureArgs: args,
    env: makeEnvOf(request, compilation, glueEnv, step.env),
  } as unknown as ConfiguredTree;
}

/**
 * nginx and LuaJIT read CFLAGS from the environment of configure, LuaJIT also LDFLAGS. Values from
 * the environment do not appear in `nginx -V`, so flags that contain the build directory are passed
 * there. make must not get them, since the build of a static OpenSSL would use them instead of
 * OpenSSL's flags.
 */
export function configureEnvOf(
  compilation: Compilation,
  glueEnv: StagedLibrary["glueEnv"],
): Readonly<Record<string, string>> {
  const { cFlags: CFLAGS, ldFlags: LDFLAGS, env, hardening } = compilation;
  const TARGET_CFLAGS = hardening.luajitCFlags.join(" ");
  return {
    ...{ ...glueEnv, ...env, CFLAGS },
    ...(LDFLAGS ? { LDFLAGS } : {}),
    ...(TARGET_CFLAGS ? { TARGET_CFLAGS } : {}),
  };
}

/**
 * The C libraries for Lua read their flags from these variables. The build of a static library
 * would use them instead of the library's flags, so they are not set if there is one.
 */
export function makeEnvOf(
  request: Pick<BuildRequest, "added" | "configureArgs">,
  { cFlags, ldFlags: LDFLAGS, env, hardening }: Compilation,
  glueEnv: StagedLibrary["glueEnv"],
  own: Environment,
): Readonly<Record<string, string>> {
  const given = [...addedArgs(request.added), ...request.configureArgs];
  const isStatic = given.some((arg) => /^--with-(openssl|pcre|zlib)=/.test(arg));
  const CPPFLAGS = [cFlags, own.CPPFLAGS ?? ""].join(" ").trim();
  const isHardened = hardening.cFlags.length > 0;
  return { ...glueEnv, ...env, ...(isHardened && !isStatic ? { CPPFLAGS, LDFLAGS } : {}) };
}

/** `ofSource` is what the source itself needs. */
export function configureArgsOf(
  ofSource: readonly string[],
  request: BuildRequest,
  { hardening }: Pick<Compilation, "hardening">,
  site: SitePaths,
  env: Environment,
): string[] {
  const flavor = flavorOf(request.flavor);
  const linkFlags = [...hardening.ldFlags, ...flavor.ldFlags].join(" ");
  return [
    `--prefix=${site.prefix}`,
    "--with-threads",
    ...(env.CC ? [`--with-cc=${env.CC}`] : []),
    ...ofSource,
    ...flavor.configureArgs,
    ...(linkFlags ? [`--with-ld-opt=${linkFlags}`] : []),
    ...addedArgs(request.added),
    ...request.configureArgs,
  ];
}

async function requireLibraries(
  tree: CompleteTree,
  request: BuildRequest,
  step: StepContext,
): Promise<void> {
  const { version } = requireComponent(tree.components, "ngx_lua");
  const given = [...addedArgs(request.added), ...request.configureArgs];
  await requirePackages(packagesForOpenresty(pcreOfNgxLua(version)), given, step.env);
}

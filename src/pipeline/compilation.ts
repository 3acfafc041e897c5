/**
 * How the C code of a build is compiled: the flags of the user, of the flavour, and flags that keep
 * the local paths out of the product, so that two builds produce the same bytes.
 */
import { lstat, mkdir, readlink, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { buildEnvironment, type Environment } from "../host/environment.js";
import { isJdk, type Jdk, type NoJdk } from "../host/jdk.js";
import { nodeApiInclude, type ShippedFiles } from "../host/package.js";
import { currentPlatform } from "../host/platform.js";
import { compilerOf } from "../host/toolchain.js";
import { findProgram } from "../host/tools.js";
import { run } from "../io/exec.js";
import { flavorOf } from "./flavors.js";
import { type Hardening, hardeningOf } from "./hardening.js";
import type { BuildRequest } from "./request.js";
import type { SitePaths } from "./site.js";

export interface Compilation {
  readonly cFlags: string;
  readonly ldFlags: string;
  readonly hardening: Hardening;
  /** The variables of the addon in c-src/Makefile. */
  readonly addon: Readonly<Record<string, string>>;
  /** The JDK of the Java part, or the reason why there is none. */
  readonly jdk: Jdk | NoJdk;
  /**
   * For every program that compiles: where ccache stands in for the compiler, what a flavour needs.
   */
  readonly env: Readonly<Record<string, string>>;
}

/** The directories of the machine have names below this one in debug information and messages. */
const SOURCES = "/usr/src";

const OPTIMISED = "-O2 -g";

/**
 * The part that is known without running a program; `ccacheDir` is the directory of
 * `standInForCompiler`.
 */
export function compilationOf(
  request: BuildRequest,
  files: ShippedFiles,
  site: SitePaths,
  env: Environment,
  jdk: Jdk | NoJdk,
  ccacheDir?: string,
): Compilation {
  const flavor = flavorOf(request.flavor);
  // Of several that fit the compiler takes the last.
  const names = [
    [files.root, `${SOURCES}/nffi`],
    [nodeApiInclude(), `${SOURCES}/node-api-headers`],
    [site.workDir, `${SOURCES}/nffi-build`],
  ];
  const mapFlags = names.map(([folder, name]) => `-ffile-prefix-map=${folder}=${name}`);
  const own = env.CFLAGS ?? OPTIMISED;
  const hardening = hardeningOf(request, env, currentPlatform().arch);
  const plain = [own, ...mapFlags].join(" ");
  return {
    cFlags: [...hardening.cFlags, own, ...flavor.cFlags, ...mapFlags].join(" "),
    ldFlags: [...hardening.ldFlags, env.LDFLAGS ?? "", ...flavor.ldFlags].join(" ").trim(),
    hardening,
    addon: flavor.plainAddon
      ? { ADDON_CFLAGS: plain, ADDON_LDFLAGS: env.LDFLAGS ?? "", ADDON_STATIC: "yes" }
      : {},
    jdk: jdkFor(request, jdk),
    // A link with the compiler's name, first in PATH: ccache's own way into every Makefile.
    env: { ...flavor.env, ...(ccacheDir ? { PATH: `${ccacheDir}:${env.PATH ?? ""}` } : {}) },
  };
}

/** AddressSanitizer takes the signals that a Java virtual machine lives by. */
function jdkFor(request: Pick<BuildRequest, "flavor">, jdk: Jdk | NoJdk): Jdk | NoJdk {
  if (!isJdk(jdk) || !flavorOf(request.flavor).plainAddon) return jdk;
  return { reason: `the flavour ${request.flavor} has none` };
}

/**
 * Makes the directory of ccache's links and returns it. Returns undefined if there is no ccache, if
 * the user has turned it off (CCACHE_DISABLE) or names a compiler by its path, or if it fails.
 */
export async function standInForCompiler(
  site: SitePaths,
  env: Environment,
): Promise<string | undefined> {
  const compiler = compilerOf(env);
  if (env.CCACHE_DISABLE !== undefined || /[/\s]/.test(compiler)) return undefined;
  const ccache = await findProgram("ccache", env);
  if (ccache === undefined) return undefined;
  await mkdir(site.compilerDir, { recursive: true });
  for (const name of new Set(["cc", "gcc", compiler])) {
    await link(ccache, join(site.compilerDir, name));
  }
  const works = await run({
    program: join(site.compilerDir, compiler),
    args: ["-x", "c", "-c", "-o", "/dev/null", "-"],
    input: "int nothing;\n",
    env: { ...buildEnvironment(env), PATH: `${site.compilerDir}:${env.PATH ?? ""}` },
  });
  return works.exitCode === 0 ? site.compilerDir : undefined;
}

async function link(target: string, place: string): Promise<void> {
  const isLink = (await lstat(place).catch(() => undefined))?.isSymbolicLink();
  if (isLink && (await readlink(place)) === target) return;
  await rm(place, { force: true });
  await symlink(target, place);
}

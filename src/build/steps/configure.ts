/** Runs OpenResty's configure, which also builds LuaJIT and copies bundle/ to build/. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../../host/environment.js";
import { packagesForOpenresty, requirePackages } from "../../host/toolchain.js";
import { writeFileWhole } from "../../io/files.js";
import { requireComponent } from "../components.js";
import type { BuildRequest } from "../request.js";
import type { Site, SitePaths } from "../site.js";
import type { StepContext } from "../step.js";
import type { CompleteTree } from "./install-files.js";
import type { StagedLibrary } from "./library.js";

declare const configured: unique symbol;

export type ConfiguredTree = CompleteTree & {
  readonly [configured]: true;
  readonly configureArgs: readonly string[];
  /** make may run configure again, so it needs the same environment. */
  readonly env: Readonly<Record<string, string>>;
};

const RECORD = ".nffi-configured.json";

export async function configureTree(
  tree: CompleteTree,
  library: StagedLibrary,
  request: BuildRequest,
  site: Site,
  step: StepContext,
): Promise<ConfiguredTree> {
  await requireLibraries(tree, request, step);
  const args = configureArgsOf(tree.identity.configureArgs, request, site, step.env);
  const env = library.configureEnv;

  const recordFile = join(tree.dir, RECORD);
  const record = JSON.stringify({ args, env, CFLAGS: step.env.CFLAGS, LDFLAGS: step.env.LDFLAGS });
  const kept = await readFile(recordFile, "utf8").catch(() => undefined);
  if (kept === record) {
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
  return { ...tree, configureArgs: args, env } as unknown as ConfiguredTree;
}

/** `ofSource` is what the source itself needs. */
export function configureArgsOf(
  ofSource: readonly string[],
  request: BuildRequest,
  site: SitePaths,
  env: Environment,
): string[] {
  const compiler = env.CC ? [`--with-cc=${env.CC}`] : [];
  return [
    `--prefix=${site.prefix}`,
    "--with-threads",
    ...compiler,
    ...ofSource,
    ...request.configureArgs,
  ];
}

/** ngx_lua takes PCRE2 since 0.10.26; an older one needs the library that PCRE2 replaces. */
const FIRST_WITH_PCRE2 = [0, 10, 26];

async function requireLibraries(
  tree: CompleteTree,
  request: BuildRequest,
  step: StepContext,
): Promise<void> {
  const { version } = requireComponent(tree.components, "ngx_lua");
  const parts = version.split(/[.a-z]/).map(Number);
  const firstOther = FIRST_WITH_PCRE2.findIndex((part, index) => part !== parts[index]);
  const older = firstOther >= 0 && (parts[firstOther] ?? 0) < (FIRST_WITH_PCRE2[firstOther] ?? 0);
  await requirePackages(packagesForOpenresty(older ? 1 : 2), request.configureArgs, step.env);
}

/** Builds libnffi, the echo library of the proof and the Node addon, and stages them. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../../host/environment.js";
import { isJdk } from "../../host/jdk.js";
import { nodeApiInclude, type ShippedFiles } from "../../host/package.js";
import { compilerIdentity, compilerOf } from "../../host/toolchain.js";
import { sha256OfFile, writeFileWhole } from "../../io/files.js";
import type { Compilation } from "../compilation.js";
import type { BuildRequest } from "../request.js";
import type { Site, SitePaths } from "../site.js";
import type { StepCommand, StepContext } from "../step.js";
import { HEADER_FOLDERS, HEADERS } from "./install-files.js";

export interface StagedLibrary {
  readonly compilation: Compilation;
  /** The variables that the patched `config` of ngx_lua reads. */
  readonly glueEnv: Readonly<Record<string, string>>;
}

export async function buildLibrary(
  request: BuildRequest,
  compilation: Compilation,
  files: ShippedFiles,
  site: Site,
  step: StepContext,
): Promise<StagedLibrary> {
  await rm(site.stageDir, { recursive: true, force: true });
  await requireSameRules(compilation, files, site, step.env);
  if (!isJdk(compilation.jdk)) step.note(`without Java: ${compilation.jdk.reason}`);
  for (const command of libraryCommands(request, compilation, files, site, step.env)) {
    await step.mustRun(command, "compile-failed", "the shared-queue library cannot be built");
  }
  return { compilation, glueEnv: glueEnvOf(site) };
}

/** make sees what has changed in sources only, so objects of other flags or rules are removed. */
async function requireSameRules(
  { cFlags, ldFlags, addon, jdk }: Compilation,
  files: ShippedFiles,
  site: Site,
  env: Environment,
): Promise<void> {
  const recordFile = join(site.libraryDir, ".nffi-rules.json");
  const makefiles = ["Makefile", "sdk/java/java.mk"].map((name) => join(files.cSource, name));
  const rules = await Promise.all(makefiles.map(sha256OfFile));
  const compiler = await compilerIdentity(env);
  const record = JSON.stringify({ rules, cFlags, ldFlags, addon, jdk, compiler });
  if ((await readFile(recordFile, "utf8").catch(() => undefined)) === record) return;
  await rm(site.libraryDir, { recursive: true, force: true });
  await writeFileWhole(recordFile, record);
}

/** Two calls: with -j, `make all install` would install what is not built yet. */
export function libraryCommands(
  request: BuildRequest,
  compilation: Compilation,
  files: ShippedFiles,
  site: SitePaths,
  env: Environment,
): StepCommand[] {
  const variables = {
    BUILD_DIR: site.libraryDir,
    PREFIX: site.prefix,
    DESTDIR: site.stageDir,
    NODE_API_INCLUDE: nodeApiInclude(),
    CC: compilerOf(env),
    CFLAGS: compilation.cFlags,
    LDFLAGS: compilation.ldFlags,
    ...compilation.addon,
    JAVA_HOME: isJdk(compilation.jdk) ? compilation.jdk.home : "",
  };
  const args = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  return ["all", "install"].map((target) => ({
    program: "make",
    args: ["-C", files.cSource, `-j${request.jobs}`, target, ...args],
    env: compilation.env,
  }));
}

/** The headers by paths from nginx's directory, equal in all builds: ccache knows a file again. */
export function glueEnvOf(site: SitePaths): StagedLibrary["glueEnv"] {
  return {
    NFFI_INC: HEADER_FOLDERS.map((name) => `../../${HEADERS}/${name}`).join(" "),
    NFFI_LIB: join(site.stagedPrefix, "nffi/lib"),
    NFFI_RPATH: join(site.prefix, "nffi/lib"),
  };
}

/** Builds libnffi, the echo library of the proof and the Node addon, and stages them. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../../host/environment.js";
import { nodeApiInclude, type ShippedFiles } from "../../host/package.js";
import { compilerOf } from "../../host/toolchain.js";
import type { Command } from "../../io/exec.js";
import type { BuildRequest } from "../request.js";
import type { Site, SitePaths } from "../site.js";
import type { StepContext } from "../step.js";

export interface StagedLibrary {
  /** What the patched configure of ngx_lua reads. */
  readonly configureEnv: Readonly<Record<string, string>>;
}

export async function buildLibrary(
  request: BuildRequest,
  files: ShippedFiles,
  site: Site,
  step: StepContext,
): Promise<StagedLibrary> {
  await rm(site.stageDir, { recursive: true, force: true });
  for (const command of libraryCommands(request, files, site, step.env)) {
    await step.mustRun(command, "compile-failed", "the shared-queue library cannot be built");
  }
  return { configureEnv: configureEnvOf(files, site) };
}

/** Two calls: with -j, `make all install` would install what is not built yet. */
export function libraryCommands(
  request: BuildRequest,
  files: ShippedFiles,
  site: SitePaths,
  env: Environment,
): Command[] {
  const variables = {
    BUILD_DIR: site.libraryDir,
    PREFIX: site.prefix,
    DESTDIR: site.stageDir,
    NODE_API_INCLUDE: nodeApiInclude(),
    CC: compilerOf(env),
  };
  const args = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  return ["all", "install"].map((target) => ({
    program: "make",
    args: ["-C", files.cSource, `-j${request.jobs}`, target, ...args],
  }));
}

export function configureEnvOf(
  files: ShippedFiles,
  site: SitePaths,
): StagedLibrary["configureEnv"] {
  const headers = [join(site.stagedPrefix, "nffi/include"), join(files.cSource, "lib")];
  return {
    NFFI_INC: headers.join(" "),
    NFFI_LIB: join(site.stagedPrefix, "nffi/lib"),
    NFFI_RPATH: join(site.prefix, "nffi/lib"),
  };
}

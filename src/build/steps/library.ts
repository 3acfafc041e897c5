/** Builds libnffi, the echo library of the proof and the Node addon, and stages them. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { nodeApiInclude, type ShippedFiles } from "../../host/package.js";
import { compilerOf } from "../../host/toolchain.js";
import type { BuildRequest } from "../request.js";
import type { Site } from "../site.js";
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
  const variables = {
    BUILD_DIR: site.libraryDir,
    PREFIX: site.prefix,
    DESTDIR: site.stageDir,
    NODE_API_INCLUDE: nodeApiInclude(),
    CC: compilerOf(step.env),
  };
  const args = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  // Two calls: with -j, `make all install` would install what is not built yet.
  for (const target of ["all", "install"]) {
    await step.mustRun(
      { program: "make", args: ["-C", files.cSource, `-j${request.jobs}`, target, ...args] },
      "compile-failed",
      "the shared-queue library cannot be built",
    );
  }
  const headers = [join(site.stagedPrefix, "nffi/include"), join(files.cSource, "lib")];
  return {
    configureEnv: {
      NFFI_INC: headers.join(" "),
      NFFI_LIB: join(site.stagedPrefix, "nffi/lib"),
      NFFI_RPATH: join(site.prefix, "nffi/lib"),
    },
  };
}

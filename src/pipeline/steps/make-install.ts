/**
 * Creates the whole product below the staging directory, laid out like the prefix: the files that
 * OpenResty installs, then the Lua module and the Node runtime of nffi, then the manifest.
 */
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { ShippedFiles } from "../../host/package.js";
import { kindOf, writeFileWhole } from "../../io/files.js";
import type { Compilation } from "../compilation.js";
import { flavorOf } from "../flavors.js";
import { weaknessesOf } from "../hardening.js";
import type { BuildInputs } from "../inputs.js";
import { type BuiltManifest, countOfOwn, makeManifest, manifestFile } from "../manifest.js";
import type { BuildRequest } from "../request.js";
import type { Site } from "../site.js";
import { stageSbom } from "../stage-sbom.js";
import { stageScripts } from "../stage-scripts.js";
import type { StepContext } from "../step.js";
import type { MadeTree } from "./make.js";

export interface StagedProduct {
  readonly stagedPrefix: string;
  readonly manifest: BuiltManifest;
}

export async function stageProduct(
  tree: MadeTree,
  { jdk }: Pick<Compilation, "jdk">,
  inputs: BuildInputs,
  request: BuildRequest,
  files: ShippedFiles,
  site: Site,
  step: StepContext,
): Promise<StagedProduct> {
  await step.mustRun(
    {
      program: "make",
      args: ["install", `DESTDIR=${site.stageDir}`],
      cwd: tree.dir,
      env: tree.env,
    },
    "install-failed",
    "OpenResty cannot be laid out in the staging directory",
  );
  await stageScripts(files, site.stagedPrefix);
  await stageOpenrestyLink(site);
  await stageSbom(tree, request.added, site, step.env);
  const manifest = await makeManifest(tree, inputs, request.flavor, jdk, site);
  await writeFileWhole(manifestFile(site.stagedPrefix), `${JSON.stringify(manifest, null, 2)}\n`);
  if (flavorOf(request.flavor).isHardened) warnOfWeaknesses(manifest, step);
  step.note(`${countOfOwn(manifest)} files`);
  return { stagedPrefix: site.stagedPrefix, manifest };
}

/** A compiler that makes no position-independent programs by default, or flags of the user. */
function warnOfWeaknesses({ hardening = {} }: BuiltManifest, step: StepContext): void {
  const weaknesses = weaknessesOf(hardening);
  if (weaknesses.length === 0) return;
  step.warn(`${weaknesses.length} files of the product are not hardened by the linker`, weaknesses);
}

async function stageOpenrestyLink(site: Site): Promise<void> {
  const link = join(site.stagedPrefix, "bin/openresty");
  if ((await kindOf(link)) !== "absent") return;
  await mkdir(join(site.stagedPrefix, "bin"), { recursive: true });
  await symlink("../nginx/sbin/nginx", link);
}

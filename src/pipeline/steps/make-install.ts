/**
 * Creates the whole product below the staging folder, with the layout of the prefix: the files that
 * OpenResty installs, then the Lua module and the Node runtime of nffi, then the manifest.
 */
import { cp, mkdir, readdir, symlink } from "node:fs/promises";
import { join, relative } from "node:path";
import { type ShippedFiles, typeStripper, version } from "../../host/package.js";
import { kindOf, writeFileWhole } from "../../io/files.js";
import type { Compilation } from "../compilation.js";
import { flavorOf } from "../flavors.js";
import { weaknessesOf } from "../hardening.js";
import type { BuildInputs } from "../inputs.js";
import { countOfOwn, type Manifest, makeManifest, manifestFile } from "../manifest.js";
import type { BuildRequest } from "../request.js";
import type { Site } from "../site.js";
import { stageSbom } from "../stage-sbom.js";
import type { StepContext } from "../step.js";
import type { MadeTree } from "./make.js";

export interface StagedProduct {
  readonly stagedPrefix: string;
  readonly manifest: Manifest;
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
    "OpenResty cannot be laid out in the staging folder",
  );
  await stageLua(files, site);
  await cp(join(files.lua, "types"), join(site.stagedPrefix, LUA_TYPES), { recursive: true });
  await stageNodeRuntime(files, site);
  await stageOpenrestyLink(site);
  await stageSbom(tree, request.added, site, step.env);
  const manifest = await makeManifest(tree, inputs, request.flavor, jdk, site);
  await writeFileWhole(manifestFile(site.stagedPrefix), `${JSON.stringify(manifest, null, 2)}\n`);
  if (flavorOf(request.flavor).isHardened) warnOfWeaknesses(manifest, step);
  step.note(`${countOfOwn(manifest)} files`);
  return { stagedPrefix: site.stagedPrefix, manifest };
}

/** A compiler that makes no position-independent programs by default, or flags of the user. */
function warnOfWeaknesses({ hardening = {} }: Manifest, step: StepContext): void {
  const weaknesses = weaknessesOf(hardening);
  if (weaknesses.length === 0) return;
  step.warn(`${weaknesses.length} files of the product are not hardened by the linker`, weaknesses);
}

/** lua/resty/core/ is not copied here: it was installed by lua-resty-core's own Makefile. */
async function stageLua(files: ShippedFiles, site: Site): Promise<void> {
  const from = join(files.lua, "resty");
  const into = join(site.stagedPrefix, "lualib/resty");
  await cp(join(files.lua, "resty_ffi.lua"), join(site.stagedPrefix, "lualib/resty_ffi.lua"));
  await cp(from, into, {
    recursive: true,
    filter: (source) => {
      const path = relative(from, source);
      return path !== "core" && (!/\.[a-z]+$/.test(path) || path.endsWith(".lua"));
    },
  });
}

/** The directory that a .luarc.json names; nothing in it is ever run. */
const LUA_TYPES = "nffi/lua-types";

/** The types for the code of runtimes. */
const TYPES = "handler.d.ts";

/** Projects depend on the folder as @nffi/runtime; the program itself needs only `type`. */
const RUNTIME_PACKAGE = {
  name: "@nffi/runtime",
  version,
  private: true,
  type: "module",
  exports: { ".": { types: `./${TYPES}`, default: "./handler.js" } },
};

async function stageNodeRuntime(files: ShippedFiles, site: Site): Promise<void> {
  const into = join(site.stagedPrefix, "nffi/node");
  await mkdir(into, { recursive: true });
  for (const name of await readdir(files.nodeRuntime)) {
    if (/\.(map|d\.ts)$/.test(name) && name !== TYPES) continue;
    await cp(join(files.nodeRuntime, name), join(into, name), { recursive: true });
  }
  const stripper = typeStripper();
  await cp(stripper.dir, join(into, "node_modules", stripper.name), { recursive: true });
  await writeFileWhole(join(into, "package.json"), `${JSON.stringify(RUNTIME_PACKAGE, null, 2)}\n`);
}

async function stageOpenrestyLink(site: Site): Promise<void> {
  const link = join(site.stagedPrefix, "bin/openresty");
  if ((await kindOf(link)) !== "absent") return;
  await mkdir(join(site.stagedPrefix, "bin"), { recursive: true });
  await symlink("../nginx/sbin/nginx", link);
}

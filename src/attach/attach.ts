/**
 * Attaches nffi to an nginx that nffi has not built: examines it, provides the glue, lays out the
 * product, proves it on that very program, and only then installs it.
 */
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { NffiError } from "../errors.js";
import type { Environment } from "../host/environment.js";
import type { ShippedFiles } from "../host/package.js";
import { type Platform, requireSupported } from "../host/platform.js";
import { kindOf } from "../io/files.js";
import {
  type AttachedManifest,
  countOfOwn,
  isAttached,
  type Manifest,
  readManifest,
} from "../pipeline/manifest.js";
import { openFolder } from "../pipeline/open-folder.js";
import { requirePlainPath } from "../pipeline/plain-path.js";
import { rememberAttach } from "../pipeline/product.js";
import { replaceProduct } from "../pipeline/replace-product.js";
import { type Binaries, type BinariesWish, provideBinaries } from "./binaries.js";
import { adviceOf, defaultPrefixOf, requireWritableConf, writeConf } from "./conf-line.js";
import { type Examined, type ExamineWish, examine, recordOf } from "./examine.js";
import { layOut, type Staged, writeManifest } from "./lay-out.js";
import { projectNginx } from "./project-nginx.js";
import { prove } from "./proof.js";
import { withScratch } from "./scratch-nginx.js";
import { neededSymbols, requireSymbols } from "./symbols.js";

export interface AttachRequest extends ExamineWish, BinariesWish {
  /** --prefix */
  readonly prefix: string | undefined;
  /** --write-conf */
  readonly writeConf: string | undefined;
  /** Examine and report, but write nothing. */
  readonly dryRun: boolean;
}

export interface AttachSession {
  readonly env: Environment;
  readonly signal: AbortSignal;
  readonly platform: Platform;
  readonly shipped: ShippedFiles;
  log(text: string): void;
  warn(text: string): void;
}

export interface AttachOutcome {
  readonly prefix: string;
  /** undefined with `dryRun`. */
  readonly manifest: AttachedManifest | undefined;
  /** The remaining work of the user, as lines to print. */
  readonly advice: readonly string[];
}

export async function attach(
  request: AttachRequest,
  session: AttachSession,
): Promise<AttachOutcome> {
  requireSupported(session.platform);
  const examined = await examine(request, session);
  const prefix = resolve(request.cwd, request.prefix ?? defaultPrefixOf(examined.ngxLua));
  requirePlainPath("prefix", prefix);
  const previous = attachedBefore(prefix, await readManifest(prefix));
  const confFile = request.writeConf && resolve(request.cwd, request.writeConf);
  if (confFile) await requireWritableConf(confFile, previous?.conf, examined.ngxLua, examined.conf);
  return withScratch(async (scratch) => {
    const binaries = await provideBinaries(examined.nginx, request, scratch, session);
    const needed = neededSymbols(binaries.glue, examined.ngxLua);
    requireSymbols(needed, examined.nginx, examined.ngxLua);
    session.log(
      `symbols: all ${needed.ofNginx.length} of nginx and ${needed.ofNgxLua.length} of ngx_lua are there`,
    );
    session.log(`glue: ${binaries.origin}; prefix: ${prefix}`);
    const advice = await adviceOf(prefix, examined.ngxLua, examined.nginx);
    if (request.dryRun) return { prefix, manifest: undefined, advice };
    const staged = await install({ prefix, examined, binaries, previous }, session);
    const manifest = confFile
      ? await withConf(confFile, prefix, staged.manifest, examined, session)
      : keepingConf(staged.manifest, previous);
    await writeManifest(prefix, manifest);
    await rememberAttach(prefix, session.env);
    return { prefix, manifest, advice: manifest.conf ? [] : advice };
  });
}

function attachedBefore(
  prefix: string,
  manifest: Manifest | undefined,
): AttachedManifest | undefined {
  if (manifest === undefined || isAttached(manifest)) return manifest;
  throw new NffiError("foreign-files", `${prefix} contains an OpenResty that nffi has built`, {
    hint: "choose another --prefix: an OpenResty of nffi needs no attach",
  });
}

interface Installation {
  readonly prefix: string;
  readonly examined: Examined;
  readonly binaries: Binaries;
  readonly previous: AttachedManifest | undefined;
}

const STAGE = ".nffi-attach-";

async function install(
  { prefix, examined, binaries, previous }: Installation,
  session: AttachSession,
): Promise<Staged> {
  const existing = previous?.existing ?? (await existingFolders(prefix));
  const folder = await openFolder(prefix, {
    code: "install-failed",
    what: "the prefix",
    hint: "run this as root, or choose another directory with --prefix",
    mode: 0o755,
  });
  let installed = false;
  // In the prefix: the workers may read it, and it is not mounted noexec.
  const stagedPrefix = await mkdtemp(join(folder.path, STAGE));
  try {
    await chmod(stagedPrefix, 0o755);
    const nginx = recordOf(examined);
    const projectFiles = projectNginx({ ...nginx, configure: examined.nginx.configure });
    const request = { prefix: folder.path, stagedPrefix, binaries, nginx, projectFiles, existing };
    const staged = await layOut(request, session.shipped);
    await prove({ ...examined, productDir: stagedPrefix }, session);
    await replaceProduct(folder.path, staged, session);
    installed = true;
    session.log(`installed: ${countOfOwn(staged.manifest)} files in ${folder.path}`);
    return staged;
  } finally {
    await removeStages(folder.path);
    await (installed ? folder.lock.release() : folder.close());
  }
}

/** Directories of a product that already exist: detaching keeps them. */
async function existingFolders(prefix: string): Promise<string[]> {
  const there: string[] = [];
  for (const folder of ["", "lualib", "lualib/resty", "lualib/resty/core"]) {
    if ((await kindOf(join(prefix, folder), { follow: true })) === "directory") there.push(folder);
  }
  return there;
}

/** Also removes what a killed run has left: the prefix is locked, so no run uses it. */
async function removeStages(prefix: string): Promise<void> {
  for (const name of await readdir(prefix).catch(() => [])) {
    if (!name.startsWith(STAGE)) continue;
    await rm(join(prefix, name), { recursive: true, force: true });
  }
}

async function withConf(
  file: string,
  prefix: string,
  manifest: AttachedManifest,
  { nginx }: Examined,
  session: AttachSession,
): Promise<AttachedManifest> {
  return { ...manifest, conf: await writeConf(file, prefix, nginx, session) };
}

/** The file that an earlier run wrote with --write-conf. */
function keepingConf(
  manifest: AttachedManifest,
  previous: AttachedManifest | undefined,
): AttachedManifest {
  return previous?.conf ? { ...manifest, conf: previous.conf } : manifest;
}

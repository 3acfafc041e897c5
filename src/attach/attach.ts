/**
 * Attaches nffi to an nginx that nffi has not built: examines it, provides the glue, lays out the
 * product, proves it on that very program, and only then installs it.
 */
import { resolve } from "node:path";
import { NffiError } from "../errors.js";
import type { Environment } from "../host/environment.js";
import type { ShippedFiles } from "../host/package.js";
import { type Platform, requireSupported } from "../host/platform.js";
import { exists } from "../io/files.js";
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
import { type ReplaceProductOptions, replaceProduct } from "../pipeline/replace-product.js";
import { type Binaries, type BinariesWish, provideBinaries } from "./binaries.js";
import {
  refusalOf,
  requireAccepted,
  requireWritableConf,
  type StagedConf,
  stageConf,
} from "./conf-file.js";
import { defaultPrefixOf, hintsOf } from "./conf-line.js";
import { type Examined, type ExamineWish, examine, recordOf } from "./examine.js";
import { layOut } from "./lay-out.js";
import { projectNginx } from "./project-nginx.js";
import { prove } from "./proof.js";
import { withScratch } from "./scratch-dir.js";
import { type FoundBefore, foundBefore, makeStage, removeStages } from "./stage.js";
import { neededSymbols, requireSymbols } from "./symbols.js";

export interface AttachRequest extends ExamineWish, BinariesWish {
  /** --prefix */
  readonly prefix: string | undefined;
  /** --write-conf */
  readonly writeConf: string | undefined;
  /** --overwrite-foreign: replaces files in the prefix that nffi did not install. */
  readonly overwriteForeign: boolean;
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
  /** The file of --write-conf was written. */
  readonly wroteConf: boolean;
  /** The remaining work of the user, as lines to print. */
  readonly hints: readonly string[];
}

export async function attach(
  request: AttachRequest,
  session: AttachSession,
): Promise<AttachOutcome> {
  requireSupported(session.platform);
  const examined = await examine(request, session);
  const { nginx, ngxLua } = examined;
  const prefix = resolve(request.cwd, request.prefix ?? (await defaultPrefixOf(nginx, ngxLua)));
  requirePlainPath("prefix", prefix);
  const confFile = request.writeConf && resolve(request.cwd, request.writeConf);
  await previousOf(prefix, confFile, examined);
  return withScratch({ env: session.env, target: prefix }, async (scratch) => {
    const binaries = await provideBinaries(nginx, request, scratch, session);
    const needed = neededSymbols(binaries.glue, ngxLua);
    requireSymbols(needed, nginx, ngxLua);
    session.log(
      `symbols: all ${needed.ofNginx.length} of nginx and ${needed.ofNgxLua.length} of ngx_lua are there`,
    );
    session.log(`glue: ${binaries.origin}; prefix: ${prefix}`);
    const hints = await hintsOf(prefix, ngxLua, nginx);
    if (request.dryRun) return { prefix, manifest: undefined, wroteConf: false, hints };
    const { overwriteForeign } = request;
    const manifest = await install(
      { prefix, examined, binaries, confFile, scratch, overwriteForeign },
      session,
    );
    await rememberAttach(prefix, session.env);
    const wroteConf = confFile !== undefined;
    return { prefix, manifest, wroteConf, hints: wroteConf ? [] : hints };
  });
}

/** Returns what is attached in the prefix. Throws if nffi must not attach or write the file. */
async function previousOf(
  prefix: string,
  confFile: string | undefined,
  { ngxLua, conf }: Examined,
): Promise<AttachedManifest | undefined> {
  const previous = attachedBefore(prefix, await readManifest(prefix));
  if (confFile) await requireWritableConf(confFile, previous?.conf, ngxLua, conf);
  return previous;
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
  readonly confFile: string | undefined;
  readonly scratch: string;
  readonly overwriteForeign: boolean;
}

/** Locks the prefix until all is installed and proven; returns what is installed. */
async function install(
  installation: Installation,
  session: AttachSession,
): Promise<AttachedManifest> {
  const { prefix, confFile } = installation;
  const found = await foundBefore(prefix, confFile);
  const folder = await openFolder(prefix, {
    code: "install-failed",
    what: "the prefix",
    hint: "run this as root, or choose another directory with --prefix",
    mode: 0o755,
  });
  let installed = false;
  try {
    const manifest = await installInto(folder.path, found, installation, session);
    installed = true;
    session.log(`installed: ${countOfOwn(manifest)} files in ${folder.path}`);
    return manifest;
  } finally {
    try {
      await removeStages(folder.path);
    } finally {
      await (installed ? folder.lock.release() : folder.close());
    }
  }
}

async function installInto(
  path: string,
  found: FoundBefore,
  { prefix, examined, binaries, confFile, scratch, overwriteForeign }: Installation,
  session: AttachSession,
): Promise<AttachedManifest> {
  const previous = await previousOf(path, confFile, examined);
  const conf = confFile === undefined ? undefined : await stageConf(confFile, prefix, scratch);
  // In the prefix: the workers may read it, and it is not mounted noexec.
  const stagedPrefix = await makeStage(path, found);
  const nginx = recordOf(examined);
  const staged = await layOut(
    {
      ...{ prefix: path, stagedPrefix, binaries, nginx },
      projectFiles: projectNginx({ ...nginx, configure: examined.nginx.configure }),
      existing: previous?.existing ?? found.existing,
      made: [...(previous?.made ?? []), ...found.missing],
      conf: conf?.record ?? (await keptConf(previous)),
    },
    session.shipped,
  );
  await prove({ ...examined, productDir: stagedPrefix }, session);
  // another program may have created the file during the seconds of the proof
  if (confFile) await requireWritableConf(confFile, previous?.conf, examined.ngxLua, examined.conf);
  const options = { ...(await togetherWith(conf, examined, session)), overwriteForeign };
  await replaceProduct(path, staged, session, options);
  return staged.manifest;
}

/** Puts the file of --write-conf in place with the product. Both stay only if nginx accepts it. */
async function togetherWith(
  conf: StagedConf | undefined,
  { nginx }: Examined,
  session: AttachSession,
): Promise<Omit<ReplaceProductOptions, "overwriteForeign">> {
  if (conf === undefined) return {};
  const { path } = conf.record;
  const refusedBefore = await refusalOf(nginx, session);
  return {
    outside: [{ place: path, source: conf.source }],
    check: () => requireAccepted(path, refusedBefore, nginx, session),
  };
}

/** The file that an earlier run has written, unless the user has removed it. */
async function keptConf(
  previous: AttachedManifest | undefined,
): Promise<AttachedManifest["conf"] | undefined> {
  return previous?.conf && (await exists(previous.conf.path)) ? previous.conf : undefined;
}

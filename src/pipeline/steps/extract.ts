/** Makes the tree that is built: bundle/ with the components, and OpenResty's configure. */
import { cp, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../../errors.js";
import { unpack } from "../../io/archive.js";
import { exists, kindOf, writeFileWhole } from "../../io/files.js";
import type { SourceIdentity } from "../../sources/source.js";
import { type Component, listComponents } from "../components.js";
import { hashOfFolder } from "../inputs.js";
import type { Site } from "../site.js";
import type { StepContext } from "../step.js";
import { assembleDebian, keyOfDebian } from "./debian.js";
import type { VerifiedArchive, VerifiedDirectory, VerifiedSource } from "./verify.js";

export interface SourceTree {
  readonly dir: string;
  readonly identity: SourceIdentity;
  readonly components: readonly Component[];
}

const RECORD = ".nffi-source.json";

/**
 * A tree that an earlier run has left is used again if it was made of the same source
 * by the same patches: its objects are then compiled again only where something has changed.
 */
export async function extractSource(
  source: VerifiedSource,
  patchesKey: string,
  site: Site,
  step: StepContext,
): Promise<SourceTree> {
  const key = await keyOf(source, patchesKey);
  const kept = await keptIdentity(site.treeDir, key);
  const made = kept ?? (await makeTree(source, key, site, step));
  // The earlier run may have trusted the same bytes for another reason, or for none.
  const identity = { ...made, verifiedBy: source.verifiedBy };
  step.note(kept ? `${identity.name}, kept by an earlier run` : identity.name);
  return { dir: site.treeDir, identity, components: await listComponents(site.treeDir) };
}

async function keyOf(source: VerifiedSource, patchesKey: string): Promise<string> {
  switch (source.kind) {
    case "directory":
      return `${await hashOfFolder(source.path)} ${patchesKey}`;
    case "debian":
      return `${await keyOfDebian(source)} ${patchesKey}`;
    case "archive":
      return `${source.sha256} ${patchesKey}`;
  }
}

async function keptIdentity(treeDir: string, key: string): Promise<SourceIdentity | undefined> {
  try {
    const record = JSON.parse(await readFile(join(treeDir, RECORD), "utf8"));
    return record.key === key ? record.identity : undefined;
  } catch {
    return undefined;
  }
}

async function makeTree(
  source: VerifiedSource,
  key: string,
  site: Site,
  step: StepContext,
): Promise<SourceIdentity> {
  await rm(site.treeDir, { recursive: true, force: true });
  const identity = await (source.kind === "debian"
    ? assembleDebian(source, site.treeDir, source.verifiedBy, step)
    : source.kind === "directory"
      ? copyFolder(source, site.treeDir)
      : unpackArchive(source, site.treeDir));
  await requireTree(site.treeDir, identity);
  await writeFileWhole(join(site.treeDir, RECORD), JSON.stringify({ key, identity }));
  return identity;
}

async function copyFolder(source: VerifiedDirectory, treeDir: string): Promise<SourceIdentity> {
  await cp(source.path, treeDir, {
    recursive: true,
    preserveTimestamps: true,
    verbatimSymlinks: true,
  });
  return {
    kind: "directory",
    name: source.path,
    origin: source.path,
    sha256: undefined,
    verifiedBy: source.verifiedBy,
    packages: {},
    configureArgs: [],
  };
}

async function unpackArchive(source: VerifiedArchive, treeDir: string): Promise<SourceIdentity> {
  const unpacked = `${treeDir}.unpacked`;
  await rm(unpacked, { recursive: true, force: true });
  try {
    await unpack(source.file, unpacked);
    await rename(await topFolder(unpacked), treeDir);
  } finally {
    await rm(unpacked, { recursive: true, force: true });
  }
  return {
    kind: "archive",
    name: source.version ? `OpenResty ${source.version}` : source.origin,
    origin: source.origin,
    sha256: source.sha256,
    verifiedBy: source.verifiedBy,
    packages: {},
    configureArgs: [],
  };
}

/** The one directory that a release archive holds, or the archive's root. */
async function topFolder(unpacked: string): Promise<string> {
  const names = await readdir(unpacked);
  const only = names.length === 1 && names[0] ? join(unpacked, names[0]) : unpacked;
  return (await kindOf(only)) === "directory" ? only : unpacked;
}

async function requireTree(dir: string, identity: SourceIdentity): Promise<void> {
  for (const part of ["bundle", "configure"]) {
    if (await exists(join(dir, part))) continue;
    throw new NffiError(
      "extract-failed",
      `${identity.origin} is not a source of OpenResty: it has no "${part}"`,
      { hint: "pass a release archive, openresty-VERSION.tar.gz, or its directory" },
    );
  }
}

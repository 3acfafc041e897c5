/**
 * Gets the files of one component. The archive loses files now and then (an index lists what is no
 * longer, or not yet, there), so it takes the best that can be had: the newest revision with
 * Debian's patches, an older one with them, the newest upstream tarball without them, and for
 * pure Lua libraries the binary package, which holds the same files.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../../errors.js";
import { kindOf, sha256OfFile } from "../../io/files.js";
import type { DebianNote } from "./notes.js";
import type { AptOptions, PrivateApt } from "./private-apt.js";
import { type IndexedFile, newestBinary, type SourceRevision } from "./source-index.js";
import type { DebianComponent } from "./suites.js";

/** A file whose SHA-256 is in apt's signed index; only this module creates one. */
export interface VerifiedFile {
  readonly path: string;
  readonly name: string;
  readonly sha256: string;
}

export interface FetchedComponent {
  readonly component: DebianComponent;
  /** The version of the program, and Debian's version of its package. */
  readonly version: string;
  readonly debianVersion: string;
  readonly files:
    | { readonly kind: "source"; readonly orig: VerifiedFile; readonly packaging?: VerifiedFile }
    | { readonly kind: "lua-package"; readonly deb: VerifiedFile };
}

export interface Choice {
  readonly fetched: FetchedComponent | undefined;
  readonly notes: readonly DebianNote[];
}

/** Where fetched files lie, and the apt that fetches them. */
export interface Downloads {
  readonly dir: string;
  readonly apt: PrivateApt;
  readonly options: AptOptions;
}

/** Downloads the given revisions; what could not be had is noticed when the files are verified. */
export async function downloadSources(
  revisions: readonly SourceRevision[],
  { apt, dir, options }: Downloads,
): Promise<void> {
  if (revisions.length === 0) return;
  for (const { orig, packaging } of revisions) {
    await dropDamaged(dir, orig);
    if (packaging) await dropDamaged(dir, packaging);
  }
  const wanted = revisions.map(({ source, version }) => `${source}=${version}`);
  const args = ["source", "--download-only", "--only-source", "--quiet", ...wanted];
  await apt.run("apt-get", args, options, dir);
}

/** The best of a component's revisions, newest first. The newest was tried to be downloaded. */
export async function chooseRevision(
  component: DebianComponent,
  revisions: readonly SourceRevision[],
  downloads: Downloads,
): Promise<Choice> {
  const newest = revisions[0];
  for (const revision of revisions) {
    if (revision !== newest) await downloadSources([revision], downloads);
    const fetched = await fetchedSource(component, revision, downloads.dir);
    if (!fetched || (revision.packaging && !fetched.files.packaging)) continue;
    return { fetched, notes: revision === newest ? [] : [olderNote(component, revision, newest)] };
  }
  for (const revision of revisions) {
    const fetched = await fetchedSource(component, revision, downloads.dir);
    if (fetched) return { fetched, notes: [seriesNote(component, revision)] };
  }
  return { fetched: undefined, notes: [] };
}

/** A component's Lua files from its binary package; undefined if the archive lacks that as well. */
export async function chooseLuaPackage(
  component: DebianComponent,
  { apt, dir, options }: Downloads,
): Promise<Choice> {
  const name = component.luaPackage;
  if (!name) return { fetched: undefined, notes: [] };
  const shown = await apt.run("apt-cache", ["show", name], options);
  const binary = newestBinary(shown.stdout);
  if (!binary) return { fetched: undefined, notes: [] };

  let deb = await findDeb(dir, name, binary.sha256);
  if (!deb) {
    await apt.run("apt-get", ["download", "--quiet", `${name}=${binary.version}`], options, dir);
    deb = await findDeb(dir, name, binary.sha256);
  }
  if (!deb) return { fetched: undefined, notes: [] };
  const text =
    `${name} ${binary.version}: the archive lacks its source; ` +
    "the Lua files are taken from the binary package";
  return {
    fetched: {
      component,
      version: binary.upstream,
      debianVersion: binary.version,
      files: { kind: "lua-package", deb },
    },
    notes: [{ kind: "lua-package", component: component.component, text }],
  };
}

async function fetchedSource(component: DebianComponent, revision: SourceRevision, dir: string) {
  const orig = await verifiedFile(dir, revision.orig);
  if (!orig) return undefined;
  const packaging = revision.packaging && (await verifiedFile(dir, revision.packaging));
  return {
    component,
    version: revision.upstream,
    debianVersion: revision.version,
    files: { kind: "source" as const, orig, ...(packaging && { packaging }) },
  };
}

/** undefined when the file is not there; a file with other content is an error. */
async function verifiedFile(dir: string, file: IndexedFile): Promise<VerifiedFile | undefined> {
  const path = join(dir, file.name);
  if ((await kindOf(path)) !== "file") return undefined;
  const sha256 = await sha256OfFile(path);
  if (sha256 === file.sha256) return { path, ...file };
  throw new NffiError("verify-failed", `${path} is not what Debian's signed index says`, {
    hint: `its SHA-256 is ${sha256}, not ${file.sha256}; remove it and try again`,
  });
}

/** A download that was cut off, or changed since, is fetched again. */
async function dropDamaged(dir: string, file: IndexedFile): Promise<void> {
  const path = join(dir, file.name);
  if ((await kindOf(path)) === "absent") return;
  const intact = (await kindOf(path)) === "file" && (await sha256OfFile(path)) === file.sha256;
  if (!intact) await rm(path, { force: true, recursive: true });
}

/** apt chooses the name of the file; the checksum identifies it. */
async function findDeb(
  dir: string,
  name: string,
  sha256: string,
): Promise<VerifiedFile | undefined> {
  for (const file of await readdir(dir)) {
    if (!file.startsWith(`${name}_`) || !file.endsWith(".deb")) continue;
    const path = join(dir, file);
    if ((await sha256OfFile(path)) === sha256) return { path, name: file, sha256 };
  }
  return undefined;
}

function olderNote(
  { component }: DebianComponent,
  taken: SourceRevision,
  newest: SourceRevision | undefined,
): DebianNote {
  const text =
    `${taken.source} ${newest?.version}: the archive lacks its packaging; ` +
    `the older revision ${taken.version} is taken, with Debian's patches`;
  return { kind: "older-revision", component, text };
}

function seriesNote({ component }: DebianComponent, taken: SourceRevision): DebianNote {
  const text =
    `${taken.source} ${taken.version}: the archive lacks Debian's patches of it; ` +
    "the upstream source is taken as it is, without the security fixes among them";
  return { kind: "series-missing", component, text };
}

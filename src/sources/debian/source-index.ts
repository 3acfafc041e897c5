/**
 * What apt's signed index says about source packages: revisions with the names and checksums of
 * their files. A file is worth something only by the checksum found here.
 */
import { type Paragraph, parseControlFile } from "./control-file.js";
import { compareDebianVersions, upstreamVersion } from "./package-version.js";

export interface IndexedFile {
  readonly name: string;
  readonly sha256: string;
}

/** One revision of a source package. */
export interface SourceRevision {
  readonly source: string;
  readonly version: string;
  readonly upstream: string;
  /** The upstream tarball. */
  readonly orig: IndexedFile;
  /** Debian's packaging, which holds its patch series; old package formats have none. */
  readonly packaging: IndexedFile | undefined;
}

/** One binary package. */
export interface BinaryRevision {
  readonly version: string;
  readonly upstream: string;
  readonly sha256: string;
}

/** The revisions that `apt-cache showsrc` printed, newest first, by source package. */
export function parseSourceIndex(showsrc: string): Map<string, SourceRevision[]> {
  const index = new Map<string, SourceRevision[]>();
  for (const paragraph of parseControlFile(showsrc)) {
    const revision = sourceRevision(paragraph);
    if (!revision) continue;
    const known = index.get(revision.source) ?? [];
    if (known.some(({ version }) => version === revision.version)) continue;
    index.set(revision.source, [...known, revision].sort(newestFirst));
  }
  return index;
}

/** The newest binary package that `apt-cache show` printed. */
export function newestBinary(show: string): BinaryRevision | undefined {
  const revisions: BinaryRevision[] = [];
  for (const paragraph of parseControlFile(show)) {
    const version = paragraph.get("version");
    const sha256 = paragraph.get("sha256");
    if (version && sha256) revisions.push({ version, upstream: upstreamVersion(version), sha256 });
  }
  return revisions.sort(newestFirst)[0];
}

function sourceRevision(paragraph: Paragraph): SourceRevision | undefined {
  const source = paragraph.get("package");
  const version = paragraph.get("version");
  const files = checksums(paragraph.get("checksums-sha256") ?? "");
  const orig = files.find((file) => /\.orig\.tar\.\w+$/.test(file.name));
  if (!source || !version || !orig) return undefined;
  const packaging = files.find((file) => /\.debian\.tar\.\w+$/.test(file.name));
  return { source, version, upstream: upstreamVersion(version), orig, packaging };
}

/** Lines of `<sha256> <size> <name>`; a name that is a path would be an attack. */
function checksums(field: string): IndexedFile[] {
  return field.split("\n").flatMap((line) => {
    const [, sha256, name] = /^([0-9a-f]{64}) \d+ ([^\s/]+)$/.exec(line) ?? [];
    return sha256 && name ? [{ name, sha256 }] : [];
  });
}

function newestFirst(a: { version: string }, b: { version: string }): number {
  return compareDebianVersions(b.version, a.version);
}

/**
 * The only door to tar: looks through an archive and refuses whatever could write outside of the
 * directory it is unpacked into, then unpacks it.
 */
import { mkdir } from "node:fs/promises";
import { posix } from "node:path";
import { messageOf, NffiError } from "../errors.js";

interface Entry {
  readonly path: string;
  readonly type: string;
  readonly linkpath?: string | undefined;
}

const PLAIN_TYPES = new Set(["File", "OldFile", "ContiguousFile", "Directory"]);
const LINK_TYPES = new Set(["SymbolicLink", "Link"]);

/** Unpacks `file` into the directory `into`, which is made. Nothing is written if it is refused. */
export async function unpack(file: string, into: string): Promise<void> {
  const entries = await list(file);
  if (entries.length === 0) {
    throw noArchive(file);
  }
  for (const entry of entries) {
    const fault = faultOf(entry);
    if (fault) {
      throw new NffiError("extract-failed", `${file} is refused: "${entry.path}" ${fault}`, {
        hint: "no OpenResty release contains such an entry; get the archive from a trusted source",
      });
    }
  }
  await mkdir(into, { recursive: true });
  const tar = await import("tar");
  try {
    await tar.extract({ file, cwd: into, strict: true, preserveOwner: false });
  } catch (thrown) {
    throw damaged(file, thrown);
  }
}

async function list(file: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  const onReadEntry = (entry: Entry) => {
    entries.push({ path: entry.path, type: entry.type, linkpath: entry.linkpath });
  };
  const tar = await import("tar");
  try {
    await tar.list({ file, strict: true, onReadEntry });
  } catch (thrown) {
    const isOther = entries.length === 0 && /^TAR_ENTRY_INVALID/.test(messageOf(thrown));
    throw isOther ? noArchive(file, thrown) : damaged(file, thrown);
  }
  return entries;
}

/** Why an entry must not be unpacked; undefined when it may. */
function faultOf(entry: Entry): string | undefined {
  if (entry.path.startsWith("/")) return "is an absolute path";
  if (entry.path.split("/").includes("..")) return 'leads outside by ".."';
  if (PLAIN_TYPES.has(entry.type)) return undefined;
  if (!LINK_TYPES.has(entry.type)) return `is a ${entry.type}, not a file, directory or link`;

  const target = entry.linkpath ?? "";
  // The target of a hard link is relative to the root of the archive, the target of a symbolic link
  // to its own directory.
  const from = entry.type === "Link" ? "" : posix.dirname(entry.path);
  const resolved = posix.normalize(posix.join(from, target));
  if (target.startsWith("/") || resolved === ".." || resolved.startsWith("../")) {
    return `is a link to "${target}", outside of the archive`;
  }
  return undefined;
}

function noArchive(file: string, cause?: unknown): NffiError {
  return new NffiError("extract-failed", `${file} is not a tar archive, or is empty`, {
    hint: "a source is openresty-VERSION.tar.gz, an archive like it (gzip or none), or the directory in it",
    cause,
  });
}

function damaged(file: string, cause: unknown): NffiError {
  return new NffiError("extract-failed", `${file} cannot be unpacked: ${messageOf(cause)}`, {
    hint: "the archive is truncated or damaged; fetch it again",
    cause,
  });
}

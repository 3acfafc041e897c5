/**
 * Finds the Debian archive that this machine already trusts: mirror and signing key are read from
 * its apt sources (one-line and deb822 files), so that a closed network's mirror is used and no
 * key is added. Options that switch verification off are not carried over.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../../errors.js";
import { parseControlFile, words } from "./control-file.js";

/** Where packages come from. */
export interface ArchivePlace {
  readonly uris: readonly string[];
  /** Signed-By: a path, fingerprints or a whole key; absent when apt's general keyring is used. */
  readonly signedBy: string | undefined;
}

export interface ArchiveEntry extends ArchivePlace {
  readonly suites: readonly string[];
}

export interface MachineArchive {
  readonly main: ArchivePlace;
  /** Absent when the machine does not take these suites. */
  readonly updates: ArchivePlace | undefined;
  readonly security: ArchivePlace | undefined;
}

const DEBIAN_SUITE =
  /^(?:(?:old|oldold)?stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky|duke)$/;

/** Reads the apt sources below `etc` and picks the archive that suits `suite` best. */
export async function readMachineArchive(suite: string, etc = "/etc/apt"): Promise<MachineArchive> {
  const archive = pickArchive(await readEntries(etc), suite);
  if (!archive) {
    throw new NffiError("platform-unsupported", `no Debian archive is named in ${etc}`, {
      hint:
        "the debian source needs a machine whose apt uses a Debian mirror;\n" +
        "elsewhere use --source official, or --source with a file or URL",
    });
  }
  return archive;
}

async function readEntries(etc: string): Promise<ArchiveEntry[]> {
  const parts = join(etc, "sources.list.d");
  const names = await readdir(parts).catch(() => []);
  const files = [join(etc, "sources.list"), ...names.sort().map((name) => join(parts, name))];
  const entries: ArchiveEntry[] = [];
  for (const file of files) {
    const text = await readFile(file, "utf8").catch(() => "");
    if (file.endsWith(".sources")) entries.push(...parseSources(text));
    if (file.endsWith(".list")) entries.push(...parseSourcesList(text));
  }
  return entries;
}

/** Entries of a deb822 file (`*.sources`). */
export function parseSources(text: string): ArchiveEntry[] {
  return parseControlFile(text)
    .filter((paragraph) => !/^(no|false|0)$/i.test(paragraph.get("enabled") ?? "yes"))
    .map((paragraph) => ({
      uris: words(paragraph, "uris"),
      suites: words(paragraph, "suites"),
      components: words(paragraph, "components"),
      signedBy: paragraph.get("signed-by"),
    }))
    .filter((entry) => isUsable(entry))
    .map(({ uris, suites, signedBy }) => ({ uris, suites, signedBy }));
}

/** Entries of a one-line file (`sources.list`, `*.list`). */
export function parseSourcesList(text: string): ArchiveEntry[] {
  const entries: ArchiveEntry[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*deb(?:-src)?\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (!match) continue;
    const [, options = "", uri = "", suite = "", components = ""] = match;
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1]?.replaceAll(",", " ");
    const entry = { uris: [uri], suites: [suite], components: components.split(/\s+/), signedBy };
    if (isUsable(entry)) entries.push({ uris: entry.uris, suites: entry.suites, signedBy });
  }
  return entries;
}

function isUsable(entry: { uris: readonly string[]; components: readonly string[] }): boolean {
  return entry.components.includes("main") && !entry.uris.some((uri) => uri.startsWith("cdrom:"));
}

/** An entry that names the wanted suite itself is better than that of another suite. */
export function pickArchive(
  entries: readonly ArchiveEntry[],
  suite: string,
): MachineArchive | undefined {
  const pick = (suffix: RegExp): ArchivePlace | undefined => {
    const bases = (entry: ArchiveEntry) =>
      entry.suites.filter((name) => suffix.test(name)).map((name) => name.replace(suffix, ""));
    const fitting = entries.filter((entry) => bases(entry).some((base) => DEBIAN_SUITE.test(base)));
    const best = fitting.find((entry) => bases(entry).includes(suite)) ?? fitting[0];
    return best && { uris: best.uris, signedBy: best.signedBy };
  };
  const main = pick(/$/);
  return main && { main, updates: pick(/-updates$/), security: pick(/(?:-security|\/updates)$/) };
}

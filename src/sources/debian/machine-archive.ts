/**
 * Finds the Debian archive that this machine uses: the mirror is read from its apt sources
 * (one-line and deb822 files), so that a closed network's mirror is used. Only Debian's own keys
 * are trusted, whatever the entry says. Options that disable verification are ignored.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../../errors.js";
import { parseControlFile, words } from "./control-file.js";
import { mayBeDebians, readDebianKeys } from "./debian-keys.js";

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

export interface MachinePlaces {
  readonly etc?: string | undefined;
  readonly keyrings?: string | undefined;
}

/**
 * Reads the apt sources below `etc`; returns what may be the archive, the best first. Entries with
 * another key than Debian's are left out. Several are left where entries name no key.
 */
export async function readMachineArchives(
  suite: string,
  { etc = "/etc/apt", keyrings = "/usr/share/keyrings" }: MachinePlaces = {},
): Promise<readonly [MachineArchive, ...MachineArchive[]]> {
  const named = (await readEntries(etc)).filter(namesDebian);
  const keys = named.length > 0 ? await readDebianKeys(etc, keyrings) : undefined;
  const entries: ArchiveEntry[] = [];
  for (const entry of named) {
    if (!keys || !(await mayBeDebians(entry.signedBy, keys))) continue;
    entries.push({ ...entry, signedBy: keys.signedBy });
  }
  const [best, ...others] = pickArchives(entries, suite);
  if (best) return [best, ...others];
  const why = named.length > 0 ? `; ${named.length} entries have another key than Debian's` : "";
  throw new NffiError("platform-unsupported", `no Debian archive is named in ${etc}${why}`, {
    hint:
      "the debian source needs a machine whose apt uses a Debian mirror;\n" +
      "elsewhere use --source official, or --source with a file or URL",
  });
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

const SUFFIXES = { main: /$/, updates: /-updates$/, security: /(?:-security|\/updates)$/ };

function basesOf({ suites }: ArchiveEntry, suffix: RegExp): string[] {
  const fitting = suites.filter((name) => suffix.test(name));
  return fitting.map((name) => name.replace(suffix, "")).filter((one) => DEBIAN_SUITE.test(one));
}

function namesDebian(entry: ArchiveEntry): boolean {
  return Object.values(SUFFIXES).some((suffix) => basesOf(entry, suffix).length > 0);
}

/** Every possible combination; entries that name the requested suite come first. */
export function pickArchives(entries: readonly ArchiveEntry[], suite: string): MachineArchive[] {
  const placesOf = (suffix: RegExp): (ArchivePlace | undefined)[] => {
    const fitting = entries.filter((entry) => basesOf(entry, suffix).length > 0);
    const isExact = (entry: ArchiveEntry) => (basesOf(entry, suffix).includes(suite) ? 0 : 1);
    const sorted = [...fitting].sort((a, b) => isExact(a) - isExact(b));
    const byUris = new Map(sorted.map((one) => [one.uris.join(" "), one] as const).reverse());
    const places = [...byUris.values()].reverse();
    return places.map(({ uris, signedBy }) => ({ uris, signedBy }));
  };
  const orNone = (places: (ArchivePlace | undefined)[]) =>
    places.length > 0 ? places : [undefined];
  const archives: MachineArchive[] = [];
  for (const main of placesOf(SUFFIXES.main)) {
    for (const updates of orNone(placesOf(SUFFIXES.updates))) {
      for (const security of orNone(placesOf(SUFFIXES.security))) {
        if (main) archives.push({ main, updates, security });
      }
    }
  }
  return archives;
}

/**
 * Applies Debian's own patch series (debian/patches of a source package in format "3.0 (quilt)") to
 * an unpacked upstream source, as strictly as dpkg-source does: in order and without fuzz.
 * dpkg-source itself is not used, because it needs the .dsc, which the archive may have lost.
 */
import { mkdir, readFile, rm } from "node:fs/promises";
import { join, normalize } from "node:path";
import { NffiError } from "../../errors.js";
import { installHint } from "../../host/distribution.js";
import { run } from "../../io/exec.js";
import type { VerifiedFile } from "./choose-revision.js";
import { type AptOptions, environmentOf } from "./private-apt.js";
import { unpackTar } from "./unpack.js";

export interface SeriesEntry {
  readonly file: string;
  readonly strip: number;
}

/** Applies the series of `packaging` to `source`, a directory; returns the names of the patches. */
export async function applySeries(
  packaging: VerifiedFile,
  source: string,
  options: AptOptions,
): Promise<string[]> {
  const unpacked = `${source}.debian`;
  await mkdir(unpacked, { recursive: true });
  try {
    await unpackTar(packaging.path, unpacked, options);
    const patches = join(unpacked, "debian", "patches");
    const series = parseSeries(await readFile(join(patches, "series"), "utf8").catch(() => ""));
    for (const entry of series) await applyPatch(entry, patches, source, options);
    return series.map((entry) => entry.file);
  } finally {
    await rm(unpacked, { recursive: true, force: true });
  }
}

/** Lines of `name [-pN]`, with comments. */
export function parseSeries(text: string): SeriesEntry[] {
  const entries: SeriesEntry[] = [];
  for (const line of text.split("\n")) {
    const [file, ...options] = line
      .replace(/(^|\s)#.*$/, "")
      .trim()
      .split(/\s+/);
    if (!file) continue;
    const strip = options.map((option) => /^-p(\d+)$/.exec(option)?.[1]).find(Boolean);
    entries.push({ file, strip: Number(strip ?? 1) });
  }
  return entries;
}

async function applyPatch(
  entry: SeriesEntry,
  patches: string,
  source: string,
  options: AptOptions,
): Promise<void> {
  const file = join(patches, normalize(`/${entry.file}`));
  const args = [
    ...["--directory", source, `--strip=${entry.strip}`, "--input", file],
    ...["--force", "--forward", "--fuzz=0", "--remove-empty-files", "--silent"],
    ...["--no-backup-if-mismatch", "--reject-file=-", "--version-control=never"],
  ];
  const completed = await run(
    { program: "patch", args, env: environmentOf(options) },
    { signal: options.signal },
  );
  options.log?.(`Debian's patch ${entry.file}\n${completed.stdout}${completed.stderr}`);
  if (completed.exitCode === 0) return;
  if (completed.startError) {
    throw new NffiError("toolchain-missing", `patch cannot be run (${completed.startError})`, {
      hint: installHint(["patch"]),
    });
  }
  throw new NffiError("patch-failed", `Debian's patch ${entry.file} does not fit ${source}`, {
    hint: completed.stdout.trim() || completed.stderr.trim(),
  });
}

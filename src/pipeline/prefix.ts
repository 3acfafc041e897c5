/**
 * Checks whether nffi may write to a prefix: it replaces only files that it has installed, unless
 * the user allows more, and it writes through no link below the prefix.
 */
import { readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../errors.js";
import { kindOf, sha256OfFile } from "../io/files.js";
import { shellWords } from "../io/shell-words.js";
import { isAttached, type Manifest, manifestFile, ownPaths, readManifest } from "./manifest.js";
import { linkAbove } from "./own-files.js";

/** Files that show an OpenResty, or another nginx that an install would replace. */
const OF_OPENRESTY = [
  ...["nginx/sbin/nginx", "bin/openresty", "bin/resty", "luajit/bin/luajit"],
  ...["lualib/resty/core.lua", "nffi/nffi.json"],
];

/** Every product has files there. */
const OF_EVERY_PRODUCT = ["bin/-", "luajit/lib/-", "lualib/resty/core/-", "nffi/-", "nginx/sbin/-"];

/** For the beginning of a build: throws where its end would not be allowed to install. */
export async function requireOwnPrefix(
  prefix: string,
  { overwriteForeign }: { readonly overwriteForeign: boolean },
): Promise<void> {
  if ((await readdir(prefix).catch(() => [])).length === 0) return;
  const manifest = await readManifest(prefix);
  await requireNotAttached(prefix, manifest);
  await requireNoLinks(prefix, [...OF_EVERY_PRODUCT, ...(manifest ? ownPaths(manifest) : [])]);
  if (manifest || overwriteForeign) return;
  for (const path of OF_OPENRESTY) {
    if ((await kindOf(join(prefix, path))) === "absent") continue;
    throw new NffiError(
      "foreign-files",
      `${prefix} contains an OpenResty that nffi did not install`,
      {
        hint:
          `found ${path}, but no manifest ${manifestFile(prefix)} that can be read\n` +
          "choose another directory with --prefix, or replace it with --overwrite-foreign",
      },
    );
  }
}

/** A build would remove the files that another nginx loads. */
export async function requireNotAttached(
  prefix: string,
  manifest: Manifest | undefined,
): Promise<void> {
  if (manifest === undefined || !isAttached(manifest)) return;
  const real = await realpath(prefix);
  const first = real === prefix ? ["nffi", "detach", prefix] : ["rm", prefix];
  const what = real === prefix ? "" : `, a link to ${real}`;
  throw new NffiError(
    "foreign-files",
    `nffi is attached to ${manifest.nginx.path} in ${prefix}${what}`,
    {
      hint:
        "a build there would remove what this nginx loads: choose another directory with --prefix,\n" +
        `or run \`${shellWords(first)}\` first`,
    },
  );
}

export interface Wanted {
  readonly stagedPrefix: string;
  readonly previous: Manifest | undefined;
  readonly overwriteForeign: boolean;
}

/** For its end: throws if one of the paths leads through a link or replaces a file of the user. */
export async function requireReplaceable(
  prefix: string,
  paths: readonly string[],
  { stagedPrefix, previous, overwriteForeign }: Wanted,
): Promise<void> {
  await requireNoLinks(prefix, paths);
  const own = new Set(previous ? [...ownPaths(previous), "nffi/nffi.json"] : []);
  const foreign: string[] = [];
  for (const path of paths) {
    const kind = await kindOf(join(prefix, path));
    if (kind === "directory") throw inTheWay(join(prefix, path));
    if (kind === "absent" || own.has(path) || overwriteForeign) continue;
    if (!(await isSame(join(prefix, path), join(stagedPrefix, path)))) foreign.push(path);
  }
  if (foreign.length === 0) return;
  const some = foreign.slice(0, 3).join(", ");
  throw new NffiError("foreign-files", `nffi did not install what is in ${prefix}: ${some}`, {
    hint:
      `${foreign.length} such files would be replaced; nothing was changed\n` +
      "choose another directory with --prefix, or replace them with --overwrite-foreign",
  });
}

async function requireNoLinks(prefix: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const place = await linkAbove(prefix, path);
    if (place !== undefined) throw inTheWay(place, "a directory");
  }
}

/** Files of an interrupted install of the same product count as nffi's. */
async function isSame(place: string, staged: string): Promise<boolean> {
  if ((await kindOf(place)) !== "file" || (await kindOf(staged)) !== "file") return false;
  return (await sha256OfFile(place)) === (await sha256OfFile(staged));
}

function inTheWay(place: string, wanted = "a file"): NffiError {
  return new NffiError("foreign-files", `${place} exists: nffi installs ${wanted} there`, {
    hint:
      "it follows no links below the prefix, only the prefix itself may be one; nothing was changed\n" +
      "remove it, or choose another directory with --prefix",
  });
}

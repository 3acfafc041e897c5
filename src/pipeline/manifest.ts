/**
 * The manifest of a product, PREFIX/nffi/nffi.json: what it was made of, by `nffi build` or `nffi
 * attach`, and how to compile and link against it. `nffi info` prints it; later steps and other
 * commands find the product by it.
 */
import { readdir, readFile, readlink } from "node:fs/promises";
import { join, relative } from "node:path";
import type { Jdk, NoJdk } from "../host/jdk.js";
import { version as nffiVersion } from "../host/package.js";
import { exists, sha256OfFile } from "../io/files.js";
import type { SourceIdentity } from "../sources/source.js";
import type { FlavorName } from "./flavors.js";
import { type HardeningRecord, hardeningOfFiles } from "./hardening.js";
import type { BuildInputs } from "./inputs.js";
import type { Site } from "./site.js";
import type { MadeTree } from "./steps/make.js";

/** The fields of every product, of `nffi build` or `nffi attach`. */
interface CommonManifest {
  readonly format: 1;
  readonly nffi: string;
  readonly prefix: string;
  readonly include: string;
  readonly lib: string;
  readonly node: string;
  /** The Node that ran the command: what a runtime is started with first. */
  readonly nodeProgram: string;
  /** The JDK of the Java part, or why there is none; products of nffi 0.1 lack this field. */
  readonly java?: Jdk | NoJdk;
  /** How each executable and shared library is protected; products of nffi 0.1 lack it. */
  readonly hardening?: HardeningRecord;
  readonly cflags: string;
  readonly libs: string;
  /** SHA-256 of each file, by path below the prefix. */
  readonly files: Readonly<Record<string, string>>;
  /** Targets of the symbolic links, by path below the prefix; products of nffi 0.1 lack it. */
  readonly links?: Readonly<Record<string, string>>;
}

/** An OpenResty with the glue compiled in. */
export interface BuiltManifest extends CommonManifest {
  readonly kind?: "built";
  /** The inputs of the build: the same inputs make the same product. */
  readonly inputs?: BuildInputs;
  readonly flavor?: FlavorName;
  readonly source: SourceIdentity;
  /** Versions by name of the component. */
  readonly components: Readonly<Record<string, string>>;
  readonly patches: Readonly<Record<string, string>>;
  readonly configure: readonly string[];
  readonly nginx: string;
}

/** The glue as a library, for an nginx that nffi has not built. */
export interface AttachedManifest extends CommonManifest {
  readonly kind: "attached";
  /** The nginx that the glue was proven with. */
  readonly nginx: AttachedNginx;
  readonly glue: GlueOrigin;
  /**
   * Directories of the product that were there before it, by path below the prefix ("": itself).
   */
  readonly existing: readonly string[];
  /** Absolute paths of directories above the prefix and `conf` that were made, uppermost first. */
  readonly made?: readonly string[];
  /** The file that --write-conf has written, and its SHA-256. */
  readonly conf?: { readonly path: string; readonly sha256: string };
}

/** Where the compiled files come from: the package, or a compiler of this machine. */
export type GlueOrigin = "prebuilt" | "compiled";

/** lua/resty/nffi reads this as well: a changed name is a change there. */
export interface AttachedNginx {
  readonly path: string;
  /** As it names itself: "nginx", "openresty". */
  readonly name: string;
  /** 1.22.1, or 1.27.1.2 of an OpenResty. */
  readonly version: string;
  /** Of nginx's core: 1.27.1. */
  readonly core: string;
  /** Its core has the patches of OpenResty. */
  readonly openresty: boolean;
  /** Build id of the program; absent if the linker wrote none. */
  readonly buildId?: string;
  readonly ngxLua: string;
  /** The file that contains ngx_lua: the program or a module. */
  readonly ngxLuaPath: string;
  readonly ngxLuaBuildId?: string;
  readonly luaRestyCore: string;
  /** This nginx has ngx_stream_lua. */
  readonly stream: boolean;
  /** The nginx.conf that names the modules, and the modules. */
  readonly conf: string;
  readonly modules: readonly string[];
}

export type Manifest = BuiltManifest | AttachedManifest;

export function isAttached(manifest: Manifest): manifest is AttachedManifest {
  return manifest.kind === "attached";
}

/** Below the prefix: installed once, then the user's. */
const USER_FOLDERS = ["nginx/conf", "nginx/html", "nginx/logs"];

export async function usersFoldersIn(prefix: string): Promise<string[]> {
  const there: string[] = [];
  for (const folder of USER_FOLDERS) if (await exists(join(prefix, folder))) there.push(folder);
  return there;
}

export function isUsers(path: string): boolean {
  return USER_FOLDERS.some((folder) => path.startsWith(`${folder}/`));
}

/** Entries of a manifest that are in the prefix and belong to nffi: files, then links. */
export function ownPaths(manifest: Manifest): string[] {
  return listedPaths(manifest).filter((path) => !isUsers(path) && !isOutside(path));
}

/** Paths that lead out of the prefix: only a manifest that was tampered with has some. */
export function pathsOutside(manifest: Manifest): string[] {
  return listedPaths(manifest).filter(isOutside);
}

function listedPaths(manifest: Manifest): string[] {
  return [...Object.keys(manifest.files), ...Object.keys(manifest.links ?? {})];
}

/** Absolute, or with a part that is empty, "." or "..": nffi writes plain paths only. */
function isOutside(path: string): boolean {
  return path.includes("\0") || path.split("/").some((part) => ["", ".", ".."].includes(part));
}

/**
 * How many files and links that is, with the manifest itself: build, verify and uninstall say so.
 */
export function countOfOwn(manifest: Manifest): number {
  return ownPaths(manifest).length + 1;
}

export function manifestFile(prefix: string): string {
  return join(prefix, "nffi", "nffi.json");
}

/** The manifest of a prefix; undefined if there is none that can be read. */
export async function readManifest(prefix: string): Promise<Manifest | undefined> {
  try {
    const manifest = JSON.parse(await readFile(manifestFile(prefix), "utf8"));
    const isOne = manifest.format === 1 && typeof (manifest.files ?? undefined) === "object";
    return isOne ? manifest : undefined;
  } catch {
    return undefined;
  }
}

export async function makeManifest(
  tree: MadeTree,
  inputs: BuildInputs,
  flavor: FlavorName,
  jdk: Jdk | NoJdk,
  site: Pick<Site, "prefix" | "stagedPrefix">,
): Promise<BuiltManifest> {
  return {
    ...(await commonManifest(jdk, site)),
    kind: "built",
    inputs,
    flavor,
    source: tree.identity,
    components: Object.fromEntries(tree.components.map(({ name, version }) => [name, version])),
    patches: tree.patches,
    configure: tree.configureArgs,
    nginx: join(site.prefix, "nginx/sbin/nginx"),
  };
}

/** The fields that describe the staged files, and where they will be. */
export async function commonManifest(
  jdk: Jdk | NoJdk,
  { prefix, stagedPrefix }: Pick<Site, "prefix" | "stagedPrefix">,
): Promise<CommonManifest> {
  const inPrefix = (path: string) => join(prefix, path);
  const content = await contentOf(stagedPrefix);
  const lib = inPrefix("nffi/lib");
  return {
    format: 1,
    nffi: nffiVersion,
    prefix,
    include: inPrefix("nffi/include"),
    lib,
    node: inPrefix("nffi/node"),
    nodeProgram: process.execPath,
    java: jdk,
    cflags: `-I${inPrefix("nffi/include")}`,
    libs: `-L${lib} -Wl,-rpath,${lib} -lnffi`,
    hardening: await hardeningOfFiles(stagedPrefix, content.files),
    ...content,
  };
}

/** Of a staged product: what a manifest lists. */
export async function contentOf(dir: string): Promise<Pick<Manifest, "files" | "links">> {
  const files: Record<string, string> = {};
  const links: Record<string, string> = {};
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const place = join(entry.parentPath, entry.name);
    const path = relative(dir, place);
    if (entry.isFile()) files[path] = await sha256OfFile(place);
    else if (entry.isSymbolicLink()) links[path] = await readlink(place);
  }
  return { files, links };
}

/**
 * The binaries that the npm package carries, so that attaching needs no compiler: finds those that
 * fit a machine, verifies them against the manifest that was packed with them, and installs them.
 */
import { createHash } from "node:crypto";
import { readFile, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, NffiError } from "../errors.js";
import { shipped } from "../host/package.js";
import { currentPlatform, type Platform } from "../host/platform.js";
import { exists, sha256OfFile, writeFileWhole } from "../io/files.js";

/** Where each file is installed, below PREFIX/nffi. Files of `java/` run on every processor. */
export const PREBUILT_PLACES = {
  "libnffi_glue.so": "lib/libnffi_glue.so",
  "libnffi.so.1": "lib/libnffi.so.1",
  "libnffi.a": "lib/libnffi.a",
  "libnffi_echo.so": "lib/libnffi_echo.so",
  "libnffi_testhost.so": "lib/libnffi_testhost.so",
  "libnffi_python.so": "lib/libnffi_python.so",
  "libnffi_java.so": "lib/libnffi_java.so",
  "libnffi_java_testhost.so": "lib/libnffi_java_testhost.so",
  "nffi-supervisor": "bin/nffi-supervisor",
  "nffi.node": "node/nffi.node",
  "_nffi.abi3.so": "python/_nffi.abi3.so",
  "nffi.jar": "java/nffi.jar",
  "nffi-testing.jar": "java/nffi-testing.jar",
} as const;

export type PrebuiltName = keyof typeof PREBUILT_PLACES;

export interface PrebuiltFile {
  readonly name: PrebuiltName;
  /** The absolute path in the package. */
  readonly file: string;
  /** In hexadecimal. */
  readonly sha256: string;
}

export interface Prebuilt {
  /** The oldest glibc that they run with. */
  readonly glibc: string;
  readonly files: readonly PrebuiltFile[];
}

/** The reason why none can be used; it follows the words "no prebuilt files: ". */
export interface NoPrebuilt {
  readonly reason: string;
}

/** prebuilt/manifest.json, written by scripts/prebuild.mjs. */
interface PrebuiltManifest {
  readonly glibc: string;
  /** By path below prebuilt/: "x64/libnffi.so.1", "java/nffi.jar". */
  readonly files: Readonly<Record<string, { readonly sha256: string }>>;
}

export interface WhereToLook {
  readonly platform?: Platform;
  /** The directory that has manifest.json; the package's own by default. */
  readonly dir?: string;
}

/**
 * Returns the files for a machine, each verified. Throws if the package has files for it but one
 * is missing or was changed.
 */
export async function findPrebuilt(where: WhereToLook = {}): Promise<Prebuilt | NoPrebuilt> {
  const { platform = currentPlatform(), dir = join(shipped.root, "prebuilt") } = where;
  const manifestFile = join(dir, "manifest.json");
  if (!(await exists(manifestFile))) return { reason: "this package was packed without them" };
  const manifest = await readManifest(manifestFile);
  const reason = misfit(platform, manifest);
  if (reason) return { reason };
  const files = Object.entries(manifest.files).flatMap(([path, { sha256 }]) => {
    const [folder, name = ""] = path.split("/");
    const isOurs = folder === platform.arch || folder === "java";
    return isOurs && isPrebuiltName(name) ? [{ name, file: join(dir, path), sha256 }] : [];
  });
  for (const file of files) await requireUnchanged(file);
  return { glibc: manifest.glibc, files };
}

export function isPrebuilt(found: Prebuilt | NoPrebuilt): found is Prebuilt {
  return "files" in found;
}

/**
 * Copies the files, all or those that `isWanted` accepts, below `nffiDir` (PREFIX/nffi), with the
 * link libnffi.so. Returns the installed paths relative to `nffiDir`.
 */
export async function installPrebuilt(
  prebuilt: Prebuilt,
  nffiDir: string,
  isWanted: (name: PrebuiltName) => boolean = () => true,
): Promise<string[]> {
  const installed: string[] = [];
  for (const one of prebuilt.files.filter(({ name }) => isWanted(name))) {
    const place = PREBUILT_PLACES[one.name];
    await installFile(one, join(nffiDir, place));
    installed.push(place);
    if (one.name !== "libnffi.so.1") continue;
    const link = "lib/libnffi.so";
    await rm(join(nffiDir, link), { force: true });
    await symlink("libnffi.so.1", join(nffiDir, link));
    installed.push(link);
  }
  return installed;
}

function isPrebuiltName(name: string): name is PrebuiltName {
  return Object.hasOwn(PREBUILT_PLACES, name);
}

async function readManifest(file: string): Promise<PrebuiltManifest> {
  try {
    const { glibc, files } = JSON.parse(await readFile(file, "utf8"));
    if (typeof glibc === "string" && typeof files === "object" && files) return { glibc, files };
  } catch (thrown) {
    throw broken(file, `cannot be read: ${messageOf(thrown)}`);
  }
  throw broken(file, "expected the manifest of prebuilt files");
}

function misfit(platform: Platform, manifest: PrebuiltManifest): string | undefined {
  const { os, arch, glibc } = platform;
  if (os !== "linux") return `the system is ${os}`;
  if (!Object.keys(manifest.files).some((path) => path.startsWith(`${arch}/`))) {
    return `the processor is ${arch}`;
  }
  if (!Object.hasOwn(manifest.files, `${arch}/libnffi_glue.so`)) {
    return "this package was packed without the glue";
  }
  if (!glibc) return "the C library is not glibc (musl?)";
  if (isOlder(glibc, manifest.glibc)) {
    return `glibc is ${glibc}, expected ${manifest.glibc} or newer`;
  }
  return undefined;
}

function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = than.split(".").map(Number);
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
}

async function requireUnchanged({ file, sha256 }: PrebuiltFile): Promise<void> {
  if (!(await exists(file))) throw broken(file, "file not found");
  const found = await sha256OfFile(file);
  if (found !== sha256) throw broken(file, `expected SHA-256 ${sha256}, got ${found}`);
}

/** Verifies what it writes: the file may have changed since it was found. */
async function installFile({ file, sha256 }: PrebuiltFile, target: string): Promise<void> {
  const content = await readFile(file);
  const found = createHash("sha256").update(content).digest("hex");
  if (found !== sha256) throw broken(file, `expected SHA-256 ${sha256}, got ${found}`);
  await writeFileWhole(target, content, /\.(a|jar)$/.test(target) ? 0o644 : 0o755);
}

function broken(file: string, what: string): NffiError {
  return new NffiError("verify-failed", `${file}: ${what}`, {
    hint: "install nffi again; in a git checkout run `npm run prebuilt`",
  });
}

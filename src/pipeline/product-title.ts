/** A description of a product, and the command that builds it again. */
import { basename } from "node:path";
import { releaseOfHash } from "../catalog/releases.js";
import { shellWords } from "../io/shell-words.js";
import {
  type AttachedManifest,
  type BuiltManifest,
  isAttached,
  type Manifest,
} from "./manifest.js";
import type { FoundProduct, Product } from "./product.js";

/**
 * "OpenResty 1.27.1.2", "Debian trixie (nginx 1.26.3, ngx_lua 0.10.28)" or
 * "nginx 1.22.1 (/usr/sbin/nginx), attached".
 */
export function titleOf(manifest: Manifest): string {
  if (isAttached(manifest)) return `${titleOfAttached(manifest)}, attached`;
  const { flavor = "release" } = manifest;
  const title = sourceTitleOf(manifest);
  return flavor === "release" ? title : `${title}, ${flavor}`;
}

const HOW: Readonly<Record<string, string>> = {
  "--prefix": "named on the command line",
  default: "the default directory",
  "last attach": "attached last by this user; no product in ./.nffi/openresty",
  machine: "no product in ./.nffi/openresty",
};

/** "OpenResty 1.27.1.2 in /srv/openresty (named by NFFI_PREFIX)" */
export function describeFound({ prefix, manifest, foundBy }: FoundProduct): string {
  const how = HOW[foundBy] ?? `named by ${foundBy}`;
  return `${titleOf(manifest)} in ${prefix} (${how})`;
}

/** "nginx 1.22.1 (/usr/sbin/nginx)" */
export function titleOfAttached({ nginx }: AttachedManifest): string {
  const name = nginx.name === "openresty" ? "OpenResty" : nginx.name;
  return `${name} ${nginx.version} (${nginx.path})`;
}

function sourceTitleOf(manifest: BuiltManifest): string {
  const { source, components } = manifest;
  const parts = `nginx ${components.nginx}, ngx_lua ${components.ngx_lua}`;
  if (source.kind === "debian") return `${source.origin} (${parts})`;
  const release = releaseOf(manifest);
  return release === undefined ? `OpenResty (${parts})` : `OpenResty ${release}`;
}

/** By the hash of the archive, else by a name such as openresty-1.27.1.2. */
function releaseOf({ source }: BuiltManifest): string | undefined {
  const known = source.sha256 === undefined ? undefined : releaseOfHash(source.sha256)?.version;
  const named = /^(?:OpenResty |openresty-)(\d+(?:\.\d+){3}\w*)/;
  return known ?? named.exec(source.name)?.[1] ?? named.exec(basename(source.origin))?.[1];
}

/** The command that makes the product again; added sources and patches are not in it. */
export function rebuildCommand({ prefix, manifest }: Product): string {
  if (isAttached(manifest)) {
    const { path, conf } = manifest.nginx;
    return shellWords(["nffi", "attach", "--nginx", path, "--conf", conf, "--prefix", prefix]);
  }
  const { source, flavor = "release", inputs } = manifest;
  const configure: string[] = JSON.parse(inputs?.parts["options for configure"] ?? "[]");
  return shellWords([
    ...["nffi", "build", ...sourceOptions(manifest), "--prefix", prefix],
    ...(flavor === "release" ? [] : ["--flavor", flavor]),
    ...(source.kind === "archive" && source.origin.startsWith("/") && source.sha256
      ? ["--sha256", source.sha256]
      : []),
    ...(configure.length > 0 ? ["--", ...configure] : []),
  ]);
}

function sourceOptions(manifest: BuiltManifest): string[] {
  const { source } = manifest;
  if (source.kind === "debian") return ["--source", source.origin.replace("Debian ", "debian:")];
  if (source.origin.startsWith("/")) return ["--source", source.origin];
  const release = releaseOf(manifest);
  return release === undefined ? [] : ["--source", "official", "--openresty", release];
}

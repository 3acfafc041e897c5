/** The paths of the files that this package ships and that a build uses. */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { NffiError } from "../errors.js";
import { exists } from "../io/files.js";

/** This file is dist/host/package.js in the package. */
const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const require = createRequire(import.meta.url);

export interface ShippedFiles {
  readonly root: string;
  readonly patches: string;
  /** Files that turn the sources of Debian's packages into an OpenResty source tree. */
  readonly debianTree: string;
  readonly cSource: string;
  readonly lua: string;
  readonly templates: string;
  /** What `nffi bench` runs. */
  readonly bench: string;
  /** The compiled files of the Node runtime host. */
  readonly nodeRuntime: string;
}

export const shipped: ShippedFiles = {
  root,
  patches: join(root, "patches"),
  debianTree: join(root, "patches", "debian-openresty"),
  cSource: join(root, "c-src"),
  lua: join(root, "lua"),
  templates: join(root, "templates"),
  bench: join(root, "bench", "compare"),
  nodeRuntime: join(root, "dist", "node-runtime"),
};

export const version: string = require("../../package.json").version;

/** The headers of Node-API, from the npm package that carries nothing else. */
export function nodeApiInclude(): string {
  return require("node-api-headers").include_dir;
}

export function nodeApiVersion(): string {
  return require("node-api-headers/package.json").version;
}

export interface StrippingLibrary {
  readonly name: string;
  readonly version: string;
  /** The directory to copy. */
  readonly dir: string;
}

/** The library that the Node runtime strips types with. */
export function typeStripper(): StrippingLibrary {
  const name = "@swc/wasm-typescript";
  const file = require.resolve(`${name}/package.json`);
  return { name, version: require(file).version, dir: dirname(file) };
}

export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** As its package.json has it: an SPDX identifier. */
  readonly licence: string;
  /** It is copied into the product; otherwise it is only needed to compile. */
  readonly isInstalled: boolean;
}

/** The packages of others that a product is made with. */
export function npmPackagesOfProduct(): NpmPackage[] {
  return [
    { name: "@swc/wasm-typescript", isInstalled: true },
    { name: "node-api-headers", isInstalled: false },
  ].map((wanted) => {
    const { version, license } = require(`${wanted.name}/package.json`);
    return { ...wanted, version, licence: license };
  });
}

/** Throws when the package is incomplete, before a build spends minutes. */
export async function requireShipped(files: ShippedFiles): Promise<void> {
  const needed = [
    join(files.patches, "series"),
    join(files.cSource, "Makefile"),
    join(files.root, "bin", "nffi-nginx"),
    join(files.cSource, "include", "nffi.h"),
    join(files.lua, "resty", "nffi.lua"),
    join(files.lua, "resty_ffi.lua"),
    join(files.lua, "resty", "core", "nonblocking_ffi.lua"),
    join(files.nodeRuntime, "main.js"),
  ];
  for (const file of needed) {
    if (await exists(file)) continue;
    throw new NffiError("input-missing", `this installation of nffi lacks ${file}`, {
      hint: "in a git checkout run `npm run build`; otherwise install nffi again",
    });
  }
}

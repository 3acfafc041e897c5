/** `nffi info`: what was built and how to compile against it, in the manner of pg_config. */
import { join } from "node:path";
import type { Command } from "commander";
import { NffiError } from "../errors.js";
import { describeJdk, isJdk } from "../host/jdk.js";
import { shellWords } from "../io/shell-words.js";
import { weaknessesOf } from "../pipeline/hardening.js";
import {
  type AttachedManifest,
  type BuiltManifest,
  isAttached,
  type Manifest,
} from "../pipeline/manifest.js";
import { findProduct } from "../pipeline/product.js";
import { titleOf, titleOfAttached } from "../pipeline/product-title.js";
import { SBOM_FILE } from "../pipeline/sbom.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";
import { productWishOf } from "./settings.js";

interface InfoOptions {
  prefix?: string | true;
  json?: boolean;
  cflags?: boolean;
  libs?: boolean;
}

export function infoCommand(context: CommandContext): Command {
  return declared("info")
    .argument("[prefix]", "the prefix of the product (default: ./.nffi/openresty)")
    .option(
      "--prefix [dir]",
      "with DIR: the product to describe (env: NFFI_PREFIX; default: ./.nffi/openresty); " +
        "without: print the prefix",
    )
    .option("--json", "print the whole manifest")
    .option("--cflags", "print the compiler's flags")
    .option("--libs", "print the linker's flags")
    .action(async (given: string | undefined, options: InfoOptions) => {
      const named = typeof options.prefix === "string" ? options.prefix : undefined;
      if (given !== undefined && named !== undefined) throw namedTwice();
      const prefix = given ?? named;
      const product = await findProduct(await productWishOf(prefix, context));
      for (const line of answer(product.manifest, options)) context.print(line);
    });
}

function namedTwice(): NffiError {
  return new NffiError("usage", "PREFIX and --prefix DIR both name a product", {
    hint: "name it once; `nffi info PREFIX --prefix` without DIR prints the prefix",
  });
}

function answer(manifest: Manifest, options: InfoOptions): string[] {
  if (options.json) return [JSON.stringify(manifest, null, 2)];
  const single = [
    options.prefix === true ? manifest.prefix : "",
    options.cflags ? manifest.cflags : "",
    options.libs ? manifest.libs : "",
  ].filter((text) => text !== "");
  if (single.length > 0) return [single.join(" ")];
  return isAttached(manifest) ? linesOfAttached(manifest) : linesOfBuilt(manifest);
}

function linesOfAttached(manifest: AttachedManifest): string[] {
  const { nginx, prefix, glue, conf } = manifest;
  const built = (id: string | undefined) => (id === undefined ? "" : `, build id ${id}`);
  return [
    `prefix      ${prefix}`,
    `attached to ${titleOfAttached(manifest)}${built(nginx.buildId)}`,
    `ngx_lua     ${nginx.ngxLua} (${nginx.ngxLuaPath})${built(nginx.ngxLuaBuildId)}`,
    `resty.core  ${nginx.luaRestyCore}`,
    `stream      ${nginx.stream ? "yes" : "no: this nginx has no ngx_stream_lua"}`,
    `binaries    ${glue}`,
    ...(conf ? [`conf        ${conf.path}`] : []),
    `cflags      ${manifest.cflags}`,
    `libs        ${manifest.libs}`,
    ...javaOf(manifest),
    ...hardeningLines(manifest),
    `nffi        ${manifest.nffi}`,
  ];
}

function linesOfBuilt(manifest: BuiltManifest): string[] {
  const components = Object.entries(manifest.components);
  return [
    `prefix      ${manifest.prefix}`,
    `built       ${titleOf(manifest)}`,
    `source      ${manifest.source.name}`,
    `verified by ${manifest.source.verifiedBy}`,
    ...gapLines(manifest),
    `nginx       ${manifest.nginx}`,
    `cflags      ${manifest.cflags}`,
    `libs        ${manifest.libs}`,
    ...(manifest.files[SBOM_FILE] ? [`sbom        ${join(manifest.prefix, SBOM_FILE)}`] : []),
    ...javaOf(manifest),
    ...hardeningLines(manifest),
    `configure   ${shellWords(manifest.configure)}`,
    `components  ${components.map(([name, version]) => `${name} ${version}`).join(", ")}`,
    `nffi        ${manifest.nffi}`,
  ];
}

/** Fixes of the distribution that this product may lack. */
function gapLines({ source }: BuiltManifest): string[] {
  return (source.securityGaps ?? []).map(({ text }) => `unpatched   ${text}`);
}

function hardeningLines({ hardening }: Manifest): string[] {
  if (hardening === undefined) return [];
  const weaknesses = weaknessesOf(hardening);
  const count = Object.keys(hardening).length;
  if (weaknesses.length === 0)
    return [`hardening   pie, relro, bind-now, noexecstack: ${count} files`];
  return weaknesses.map((weakness) => `hardening   ${weakness}`);
}

function javaOf({ java }: Manifest): string[] {
  if (java === undefined) return [];
  return [`java        ${isJdk(java) ? "" : "none: "}${describeJdk(java)}`];
}

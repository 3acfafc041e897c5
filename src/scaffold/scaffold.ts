/**
 * Makes a project for a runtime: a template of the language, with its name, its port and a link to
 * the product it runs on, which is the only path of this machine in it. Nothing is downloaded.
 */
import { realpath } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { findLanguage, LANGUAGES, type Language } from "../catalog/languages.js";
import { NffiError } from "../errors.js";
import { installHint } from "../host/distribution.js";
import { isJdk } from "../host/jdk.js";
import type { ShippedFiles } from "../host/package.js";
import { exists } from "../io/files.js";
import { nearestWord } from "../io/nearest-word.js";
import { isAttached } from "../pipeline/manifest.js";
import type { Product } from "../pipeline/product.js";
import { rebuildCommand } from "../pipeline/product-title.js";
import { type BuildSource, buildSourceOf, TEMPLATE_SOURCE } from "./build-source.js";
import { requireNameFor, requireProjectName } from "./project-name.js";
import { PRODUCT_PATH, renderTemplate } from "./render.js";
import { readTemplate } from "./template.js";
import { type ProjectLink, requirePlace, writeProject } from "./write-project.js";

export interface ScaffoldRequest {
  readonly name: string;
  /** --lang */
  readonly language: string;
  readonly port: number;
  /** The parent directory of the project. */
  readonly parent: string;
  readonly product: Product;
  readonly overwrite: boolean;
  /** Check and report, but write nothing. */
  readonly dryRun: boolean;
}

export interface ScaffoldedProject {
  readonly folder: string;
  readonly language: Language;
  /** The files that were written, or would be, by path in the directory. */
  readonly paths: readonly string[];
  readonly link: ProjectLink;
  /** The source that the CI file and the Dockerfile build OpenResty from. */
  readonly source: BuildSource;
  /** False if no other machine can fetch the source of the product, and `source` is another one. */
  readonly hasSourceOfProduct: boolean;
}

/** The Debian package of a JDK. */
const JDK = "default-jdk-headless";

export async function scaffold(
  request: ScaffoldRequest,
  { shipped, signal }: { readonly shipped: ShippedFiles; readonly signal: AbortSignal },
): Promise<ScaffoldedProject> {
  const { name, port, product, overwrite } = request;
  const language = requireLanguage(request.language);
  requireProjectName(name);
  requireNameFor(language, name);
  const parent = await realpath(request.parent);
  const folder = join(parent, name);
  await requirePackage(product, language);

  const found = isAttached(product.manifest) ? undefined : buildSourceOf(product.manifest);
  const source = found ?? TEMPLATE_SOURCE;
  const template = await readTemplate(shipped.templates, language.templates);
  const files = renderTemplate(template, { name, port, source });
  const link = await linkTo(product, folder, parent);
  if (request.dryRun) await requirePlace(folder, { files, link }, overwrite);
  else await writeProject(folder, { files, link }, { overwrite, signal });
  const paths = files.map(({ path }) => path);
  return { folder, language, paths, link, source, hasSourceOfProduct: found !== undefined };
}

export function requireLanguage(name: string): Language {
  const language = findLanguage(name);
  if (language) return language;
  const known = LANGUAGES.map((one) => one.name).join(", ");
  const near = nearestWord(
    name,
    LANGUAGES.map((one) => one.name),
  );
  throw new NffiError("usage", `unknown language "${name}"`, {
    hint: near === undefined ? `languages: ${known}` : `did you mean ${near}? languages: ${known}`,
  });
}

async function requirePackage(product: Product, { title, sdk }: Language): Promise<void> {
  if (await exists(join(product.prefix, "nffi", sdk.folder, sdk.file))) return;
  const again = `\`${rebuildCommand(product)}\``;
  const { java } = product.manifest;
  const reason = title === "Java" && java && !isJdk(java) ? java.reason : undefined;
  throw new NffiError(
    "product-missing",
    reason === undefined
      ? `the build in ${product.prefix} has no ${title} package`
      : `the build in ${product.prefix} was made without ${title}: ${reason}`,
    { hint: reason ? `install a JDK (${installHint([JDK])}), then run ${again}` : `run ${again}` },
  );
}

/** Relative where project and product move together, else absolute. */
async function linkTo(product: Product, folder: string, parent: string): Promise<ProjectLink> {
  const real = await realpath(product.prefix);
  const from = dirname(join(folder, PRODUCT_PATH));
  const target = real.startsWith(`${parent}/`) ? relative(from, real) : real;
  return { path: PRODUCT_PATH, target, real };
}

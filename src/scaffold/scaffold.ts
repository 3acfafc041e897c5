/**
 * Makes a project for a runtime: a template of the language, with its name, its port and the
 * product it belongs to. Nothing is downloaded.
 */
import { realpath } from "node:fs/promises";
import { join, relative } from "node:path";
import { findLanguage, LANGUAGES, type Language } from "../catalog/languages.js";
import { NffiError } from "../errors.js";
import type { ShippedFiles } from "../host/package.js";
import { exists } from "../io/files.js";
import type { Product } from "../pipeline/product.js";
import { requireNameFor, requireProjectName } from "./project-name.js";
import { renderTemplate } from "./render.js";
import { readTemplate } from "./template.js";
import { requirePlace, writeProject } from "./write-project.js";

export interface ScaffoldRequest {
  readonly name: string;
  /** --lang */
  readonly language: string;
  readonly port: number;
  /** The folder in which the project's folder is made. */
  readonly parent: string;
  readonly product: Product;
  readonly overwrite: boolean;
  /** Look and tell, but write nothing. */
  readonly dryRun: boolean;
}

export interface ScaffoldedProject {
  readonly folder: string;
  readonly language: Language;
  /** What was written, or would be, by path in the folder. */
  readonly paths: readonly string[];
}

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
  const packages = await packagesSeenFrom(folder, parent, product, language);

  const template = await readTemplate(join(shipped.templates, language.template));
  const files = renderTemplate(template, { name, port, packages });
  if (request.dryRun) await requirePlace(folder, files, overwrite);
  else await writeProject(folder, files, { overwrite, signal });
  return { folder, language, paths: files.map(({ path }) => path) };
}

export function requireLanguage(name: string): Language {
  const language = findLanguage(name);
  if (language) return language;
  const known = LANGUAGES.map((one) => one.name).join(", ");
  throw new NffiError("usage", `there is no template for the language "${name}"`, {
    hint: `languages: ${known}`,
  });
}

/** A short path where project and product move together, else an absolute one. */
async function packagesSeenFrom(
  folder: string,
  parent: string,
  product: Product,
  { title, sdk }: Language,
): Promise<string> {
  const packages = join(product.prefix, "nffi");
  if (!(await exists(join(packages, sdk.folder, sdk.file)))) {
    throw new NffiError(
      "product-missing",
      `the build in ${product.prefix} has no ${title} package`,
      {
        hint: "run `nffi build` again",
      },
    );
  }
  const real = await realpath(packages);
  return real.startsWith(`${parent}/`) ? relative(folder, real) : real;
}

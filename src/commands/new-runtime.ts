/** `nffi new-runtime`: options -> one project -> what to do with it. */
import { type Command, InvalidArgumentError } from "commander";
import { LANGUAGES, type Language } from "../catalog/languages.js";
import { shipped } from "../host/package.js";
import { isAttached } from "../pipeline/manifest.js";
import { type FoundProduct, findProduct } from "../pipeline/product.js";
import { describeFound } from "../pipeline/product-title.js";
import { requireInPlace } from "../pipeline/verify-product.js";
import { requireProjectName } from "../scaffold/project-name.js";
import { TEMPLATE_VALUES } from "../scaffold/render.js";
import { requireLanguage, type ScaffoldedProject, scaffold } from "../scaffold/scaffold.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";
import { productWishOf } from "./settings.js";

interface NewRuntimeOptions {
  lang?: string;
  prefix?: string;
  port: number;
  yes?: boolean;
  overwrite?: boolean;
  dryRun?: boolean;
}

const NAMES = LANGUAGES.map(({ name }) => name).join(", ");

export function newRuntimeCommand(context: CommandContext): Command {
  return declared("new-runtime")
    .argument("<name>", "the directory to create, and the name of the package")
    .option("--lang <language>", `one of: ${NAMES} (default: asked for, or ${LANGUAGES[0].name})`)
    .option("--prefix <dir>", "the product to use (env: NFFI_PREFIX; default: ./.nffi/openresty)")
    .option("--port <n>", "where its nginx listens", portNumber, TEMPLATE_VALUES.port)
    .option("--yes", "ask no questions")
    .option("--overwrite", "replace the template's files in a directory that exists")
    .option("--dry-run", "list the files without writing them")
    .action(async (name: string, options: NewRuntimeOptions) => {
      const { cwd, signal } = context;
      if (options.lang !== undefined) requireLanguage(options.lang);
      requireProjectName(name);
      const product = await findProduct(await productWishOf(options.prefix, context));
      await requireInPlace(product);
      const language = await languageOf(options, context);
      const project = await scaffold(
        {
          name,
          language: language.name,
          port: options.port,
          parent: cwd,
          product,
          overwrite: options.overwrite ?? false,
          dryRun: options.dryRun ?? false,
        },
        { shipped, signal },
      );
      for (const line of linesOf(project, product, name, options)) context.print(line);
    });
}

async function languageOf(options: NewRuntimeOptions, context: CommandContext): Promise<Language> {
  if (options.lang !== undefined) return requireLanguage(options.lang);
  if (options.yes) return LANGUAGES[0];
  return await context.choose("which language?", LANGUAGES);
}

function linesOf(
  project: ScaffoldedProject,
  product: FoundProduct,
  name: string,
  options: NewRuntimeOptions,
): string[] {
  const { folder, language, paths, link } = project;
  const files = [...paths, `${link.path} -> ${link.target}`].map((path) => `  ${path}`);
  const used = `using ${describeFound(product)}`;
  if (options.dryRun) return [used, `would make ${folder} (${language.title}):`, ...files];
  const note = isAttached(product.manifest)
    ? `note: CI and Docker files of the project build an OpenResty (${project.source.options}); docs/attach.md has a Dockerfile that attaches`
    : `note: no other machine has the source of this build; CI and Docker files: ${project.source.options}`;
  return [
    used,
    `made ${folder} (${language.title}):`,
    ...files,
    ...(project.hasSourceOfProduct ? [] : [note]),
    "next:",
    `  cd ${name}`,
    ...language.start.map((line) => `  ${line}`),
    `  curl 'http://127.0.0.1:${options.port}/hello?name=World'`,
    `  ${language.stop}`,
  ];
}

function portNumber(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65536) return port;
  throw new InvalidArgumentError("It must be a port from 1 to 65535.");
}

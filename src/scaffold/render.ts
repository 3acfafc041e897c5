/**
 * Makes a project of a template. A template is a project itself, so it has no placeholders: its
 * name, its port and the source of its OpenResty are replaced.
 */
import { type BuildSource, TEMPLATE_SOURCE } from "./build-source.js";
import type { TemplateFile } from "./template.js";

export interface ProjectValues {
  readonly name: string;
  readonly port: number;
  /** The source that the CI file and the Dockerfile build OpenResty from. */
  readonly source: BuildSource;
}

/** The values in the templates. */
export const TEMPLATE_VALUES: ProjectValues = {
  name: "hello-runtime",
  port: 8080,
  source: TEMPLATE_SOURCE,
};

/** Where a project finds its OpenResty: in every file, and in .gitignore. */
export const PRODUCT_PATH = ".nffi/openresty";

/** The name as a language has it that knows neither dash nor dot: a package of Python. */
export function identifierOf(name: string): string {
  return name.replaceAll(/[.-]/g, "_");
}

export function renderTemplate(
  files: readonly TemplateFile[],
  values: ProjectValues,
): TemplateFile[] {
  return files.map(({ path, text }) => ({
    path: withName(path, values.name),
    text: withName(withSource(text, values.source), values.name).replaceAll(
      `127.0.0.1:${TEMPLATE_VALUES.port}`,
      () => `127.0.0.1:${values.port}`,
    ),
  }));
}

function withName(text: string, name: string): string {
  return text
    .replaceAll(TEMPLATE_VALUES.name, () => name)
    .replaceAll(identifierOf(TEMPLATE_VALUES.name), () => identifierOf(name));
}

/** Names of packages of PCRE2, and the PCRE1 packages with the same content. */
const PCRE1: Readonly<Record<string, string>> = {
  "libpcre2-dev": "libpcre3-dev",
  "libpcre2-8-0": "libpcre3",
};

function withSource(text: string, { options, suite, pcre }: BuildSource): string {
  const named = text
    .split(TEMPLATE_SOURCE.options)
    .map((part) => part.replaceAll(`-${TEMPLATE_SOURCE.suite}`, () => `-${suite}`))
    .map((part) => part.replaceAll(`:${TEMPLATE_SOURCE.suite}`, () => `:${suite}`))
    .join(options);
  if (pcre === 2) return named;
  return named.replaceAll(/libpcre2-(?:dev|8-0)/g, (name) => PCRE1[name] ?? name);
}

/**
 * Makes a project of a template. A template is a project itself, so it has no placeholders: what
 * it says of itself (its name, its port, where its runtime lies) is replaced.
 */
import type { TemplateFile } from "./template.js";

export interface ProjectValues {
  readonly name: string;
  readonly port: number;
  /** PREFIX/nffi, where the packages of the languages lie: absolute, or seen from the project. */
  readonly packages: string;
}

/** The values of the templates as they lie. */
export const TEMPLATE_VALUES: ProjectValues = {
  name: "hello-runtime",
  port: 8080,
  packages: "../../.nffi/openresty/nffi",
};

export function renderTemplate(
  files: readonly TemplateFile[],
  values: ProjectValues,
): TemplateFile[] {
  return files.map(({ path, text }) => ({
    path,
    text: text
      .replaceAll(TEMPLATE_VALUES.name, () => values.name)
      .replaceAll(`127.0.0.1:${TEMPLATE_VALUES.port}`, () => `127.0.0.1:${values.port}`)
      .replaceAll(`${TEMPLATE_VALUES.packages}/`, () => `${values.packages}/`),
  }));
}

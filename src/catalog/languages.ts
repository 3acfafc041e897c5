/** The languages that `nffi new-runtime` knows: data without I/O. */

export interface Language {
  /** What --lang takes. */
  readonly name: string;
  readonly title: string;
  /** The folder in templates/. */
  readonly template: string;
}

export const LANGUAGES: readonly Language[] = [
  { name: "typescript", title: "TypeScript", template: "typescript" },
];

export function findLanguage(name: string): Language | undefined {
  return LANGUAGES.find((language) => language.name === name);
}

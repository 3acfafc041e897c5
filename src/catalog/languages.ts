/** The languages that `nffi new-runtime` knows: data without I/O. */
import { TAKEN_BY_PYTHON } from "./python-names.js";

export interface Language {
  /** What --lang takes. */
  readonly name: string;
  readonly title: string;
  /**
   * The directories in templates/ whose files together are a project. No file is in two of them.
   */
  readonly templates: readonly string[];
  /** The SDK of a project: a directory in PREFIX/nffi, and a file in it that shows its presence. */
  readonly sdk: { readonly folder: string; readonly file: string };
  /** The first commands in a new project, up to its start, and the command that stops its nginx. */
  readonly start: readonly string[];
  readonly stop: string;
  /** Valid names of its packages, if npm allows more. */
  readonly names?: { readonly allowed: RegExp; readonly otherwise: string };
}

/** The first one is the default. */
export const LANGUAGES: readonly [Language, ...Language[]] = [
  {
    name: "typescript",
    title: "TypeScript",
    templates: ["typescript", "shared/project"],
    sdk: { folder: "node", file: "package.json" },
    start: ["npm install", "npm run build", "npm start"],
    stop: "npm stop",
  },
  {
    name: "go",
    title: "Go",
    templates: ["go", "shared/library", "shared/make", "shared/project"],
    sdk: { folder: "go", file: "go.mod" },
    start: ["make", "make start"],
    stop: "make stop",
  },
  {
    name: "python",
    title: "Python",
    templates: ["python", "shared/make", "shared/project"],
    sdk: { folder: "python", file: "nffi_process.py" },
    start: ["make", "make start"],
    stop: "make stop",
    names: {
      allowed: new RegExp(`^(?!(?:${TAKEN_BY_PYTHON.join("|")})$)[a-z][a-z0-9._-]*$`),
      otherwise: "a package of Python begins with a letter and has no name of a module of Python",
    },
  },
  {
    name: "rust",
    title: "Rust",
    templates: ["rust", "shared/library", "shared/make", "shared/project"],
    sdk: { folder: "rust", file: "Cargo.toml" },
    start: ["make", "make start"],
    stop: "make stop",
    names: {
      // what cargo takes, but for names that a crate of the project or of Rust has
      allowed:
        /^(?!(?:alloc|core|nffi|proc-macro|runtime|serde|serde_json|std|test|tokio)$)[a-z][a-z0-9_-]*$/,
      otherwise:
        "cargo allows a-z, 0-9, dash and underscore, a letter first, and no name of a crate in use",
    },
  },
  {
    name: "c",
    title: "C",
    templates: ["c", "shared/make", "shared/project"],
    sdk: { folder: "include", file: "nffi_testhost.h" },
    start: ["make", "make start"],
    stop: "make stop",
  },
  {
    name: "java",
    title: "Java",
    templates: ["java", "shared/make", "shared/project"],
    sdk: { folder: "java", file: "nffi.jar" },
    start: ["make", "make start"],
    stop: "make stop",
  },
];

export function findLanguage(name: string): Language | undefined {
  return LANGUAGES.find((language) => language.name === name);
}

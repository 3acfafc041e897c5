/** The name of a project: it becomes a directory and the name of an npm package. */
import type { Language } from "../catalog/languages.js";
import { NffiError } from "../errors.js";

/** npm's rules for the name of a package. */
const MAX_LENGTH = 214;
const TAKEN = new Set(["node_modules", "favicon.ico"]);

/** Throws unless the name can be both, and says why not. */
export function requireProjectName(name: string): void {
  const reason = refusalOf(name);
  if (!reason) return;
  const better = suggestionFor(name);
  throw new NffiError("usage", `"${name}" cannot be the name of a runtime: ${reason}`, {
    hint: better
      ? `use "${better}"`
      : "a name is made of a-z, 0-9, dot, dash and underscore and begins with a letter or digit",
  });
}

/** Throws if the packages of a language have narrower names. */
export function requireNameFor({ title, names }: Language, name: string): void {
  if (!names || names.allowed.test(name)) return;
  throw new NffiError("usage", `"${name}" cannot be the name of a runtime in ${title}`, {
    hint: names.otherwise,
  });
}

function refusalOf(name: string): string | undefined {
  if (name === "") return "it is empty";
  if (name.includes("/")) return "it is a path; run this in the directory where it shall be made";
  if (TAKEN.has(name)) return "that name is reserved";
  if (name.length > MAX_LENGTH) return `it is longer than ${MAX_LENGTH} characters`;
  if (/[A-Z]/.test(name)) return "npm allows no capitals";
  if (!/^[a-z0-9]/.test(name)) return "it begins with neither a letter nor a digit";
  const strange = /[^a-z0-9._-]/u.exec(name);
  return strange ? `it holds "${strange[0]}"` : undefined;
}

function suggestionFor(name: string): string | undefined {
  const better = name
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+|-+$/g, "")
    .slice(0, MAX_LENGTH);
  return refusalOf(better) ? undefined : better;
}

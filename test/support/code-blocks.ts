// The code that documents print, for tests that run it.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { repository } from "./cli.js";

/** The code blocks of one language in a document, whose path is relative to the repository. */
export function codeBlocks(document: string, language: string): string[] {
  const text = readFileSync(resolve(repository, document), "utf8");
  const fence = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms");
  return [...text.matchAll(fence)].map(([, code = ""]) => code);
}

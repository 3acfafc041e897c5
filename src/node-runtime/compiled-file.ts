/** The result of compiling TypeScript, as it travels between processes and threads. */

import { statSync } from "node:fs";
import type { Format } from "./module-format.js";

export interface CompiledFile {
  readonly path: string;
  readonly format: Format;
  readonly code: string;
  /** Of the content: a file that has changed since has another. */
  readonly version: string;
}

/** Why a module cannot be loaded by removing types. */
export interface Problem {
  readonly isSyntaxError: boolean;
  /** One line, which names the place. */
  readonly message: string;
  readonly stack: string;
}

/** A module and the files it imports, as far as the imports can be seen without running it. */
export interface Compilation {
  readonly files: readonly CompiledFile[];
  readonly problem: Problem | undefined;
}

export function versionOf(path: string): string {
  const { mtimeNs, size, ino } = statSync(path, { bigint: true });
  return `${mtimeNs} ${size} ${ino}`;
}

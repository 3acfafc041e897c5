// A second installation of nffi: a copy of the npm package in another directory, to modify.
import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type CliOptions, type CliResult, repository, runProgram } from "./cli.js";

export interface PackageCopy {
  readonly folder: string;
  /** Runs the CLI of the copy. */
  nffi(args: readonly string[], options?: CliOptions): Promise<CliResult>;
}

const PARTS = ["bin", "dist", "patches", "c-src", "lua", "templates", "package.json"];

/** Copies into `folder`, which must not exist; the npm packages are shared with the repository. */
export function copyPackage(folder: string): PackageCopy {
  mkdirSync(folder, { recursive: true });
  for (const part of PARTS) {
    cpSync(join(repository, part), join(folder, part), { recursive: true });
  }
  symlinkSync(join(repository, "node_modules"), join(folder, "node_modules"));
  return {
    folder,
    nffi: (args, options) =>
      runProgram(process.execPath, [join(folder, "bin/nffi.mjs"), ...args], options),
  };
}

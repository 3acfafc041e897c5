// Libraries that stand in for functions of libc in a program under test.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { repository } from "./cli.js";

/** A C file of test/fixtures/preload as a library in that directory, for LD_PRELOAD. */
export function preload(name: string, folder: string): string {
  const library = join(folder, `${name}.so`);
  const source = join(repository, "test/fixtures/preload", `${name}.c`);
  execFileSync("cc", ["-shared", "-fPIC", "-o", library, source]);
  return library;
}

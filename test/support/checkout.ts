// The sources of the repository as git has them, committed or not, and copies of them.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./cli.js";

/** The files below a directory of the repository, without what was installed or built in it. */
export function sourcesIn(folder: string): string[] {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", folder];
  const listed = execFileSync("git", args, { cwd: repository, encoding: "utf8" });
  const files = listed.split("\n").filter((path) => path !== "");
  return [...new Set(files)].filter((path) => existsSync(join(repository, path)));
}

/** `withBuilt`: what `npm ci` and builds have added, too. */
export function copyCheckout(into: string, withBuilt: readonly string[] = []): void {
  for (const file of sourcesIn(".")) cpSync(join(repository, file), join(into, file));
  for (const added of withBuilt) {
    // sharing blocks where the file system can
    execFileSync("cp", ["-a", "--reflink=auto", join(repository, added), into]);
  }
}

// The versions of Node that a runtime must do with: each is an npm package, which npm itself
// installs into .nffi/test once.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../../support/cli.js";

export const NODE_VERSIONS = [20, 22, 24, 26] as const;

/** The path of the program. */
export function installedNode(major: number): string {
  const name = `node-linux-${process.arch}`;
  return join(
    packagesFolder(`node-${major}`, `${name}@${major}`),
    "node_modules",
    name,
    "bin/node",
  );
}

/** A directory of .nffi/test with packages of npm; it exists only when all of it does. */
export function packagesFolder(name: string, ...packages: string[]): string {
  const folder = join(repository, ".nffi/test", name);
  if (existsSync(join(folder, "node_modules"))) return folder;
  const temporary = `${folder}.${process.pid}`;
  mkdirSync(temporary, { recursive: true });
  writeFileSync(join(temporary, "package.json"), '{ "private": true }\n');
  execFileSync("npm", ["install", "--no-audit", "--no-fund", "--silent", ...packages], {
    cwd: temporary,
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    renameSync(temporary, folder);
  } catch (error) {
    // another file of tests was first
    rmSync(temporary, { recursive: true });
    if (!existsSync(join(folder, "node_modules"))) throw error;
  }
  return folder;
}

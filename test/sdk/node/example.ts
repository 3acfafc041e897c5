// An example in TypeScript as its README has it: copied, its packages installed by npm, the blocks
// for nginx.conf with its path in them.
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { repository } from "../../support/cli.js";
import { codeBlocks } from "../../support/code-blocks.js";

export interface Example {
  readonly folder: string;
  /** What README.md prints for nginx.conf, in order. */
  readonly nginx: readonly string[];
  remove(): void;
}

export function exampleInTypeScript(path: string): Example {
  const folder = mkdtempSync(join(tmpdir(), "nffi-test-"));
  chmodSync(folder, 0o755); // the workers may run as another user
  cpSync(join(repository, path), folder, {
    recursive: true,
    filter: (file) => basename(file) !== "node_modules",
  });
  const remove = () => rmSync(folder, { recursive: true, force: true });
  if (existsSync(join(folder, "package.json"))) {
    const args = ["install", "--no-audit", "--no-fund", "--no-package-lock"];
    const npm = spawnSync("npm", args, { cwd: folder, encoding: "utf8" });
    if (npm.status !== 0) {
      remove();
      throw new Error(`npm install:\n${npm.stdout}${npm.stderr}`);
    }
  }
  const nginx = codeBlocks(join(folder, "README.md"), "nginx").map((code) =>
    code.replaceAll(`/path/to/${path}`, folder),
  );
  return { folder, nginx, remove };
}

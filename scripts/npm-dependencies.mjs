// The npm packages of a clone: installed if they are missing or older than the lock file. Needs
// nothing but Node and npm.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Ends the process with a message if npm fails. */
export function installDependencies() {
  const lock = createHash("sha256").update(readFileSync(join(root, "package-lock.json")));
  const wanted = lock.digest("hex");
  const stamp = join(root, "node_modules", ".nffi-lock");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;

  console.log("installing the npm dependencies (npm ci)");
  // npm tells its scripts where it is; without it, the one in PATH is taken.
  const npm = process.env.npm_execpath;
  const [program, ...first] = npm?.endsWith(".js") ? [process.execPath, npm] : ["npm"];
  const args = [...first, "ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  const { status } = spawnSync(program, args, {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) {
    console.error("nffi: npm ci failed; is the npm registry reachable from here?");
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
}

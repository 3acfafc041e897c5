// Runs a script of this folder in a fresh clone: `node scripts/bootstrap.mjs scripts/test.mjs`.
// Checks the Node version, installs the npm dependencies if they are missing or older than the
// lock file, then imports the script. Needs nothing but Node and npm.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const [major, minor] = process.versions.node.split(".").map(Number);

if (major < 20 || (major === 20 && minor < 19)) {
  fail(`needs Node 20.19 or newer, but this is Node ${process.versions.node}`);
}

const lock = createHash("sha256").update(readFileSync(join(root, "package-lock.json")));
const wanted = lock.digest("hex");
const stamp = join(root, "node_modules", ".nffi-lock");

if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
  console.log("installing the npm dependencies (npm ci)");
  // npm passes its own path to the scripts that it runs. Without it, use the npm in PATH.
  const npm = process.env.npm_execpath;
  const [program, ...first] = npm?.endsWith(".js") ? [process.execPath, npm] : ["npm"];
  const args = [...first, "ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  const { status } = spawnSync(program, args, {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) fail("npm ci failed; is the npm registry reachable from here?");
  writeFileSync(stamp, wanted);
}

const [script] = process.argv.splice(2, 1);
await import(pathToFileURL(resolve(root, script ?? fail("name a script"))).href);

function fail(message) {
  console.error(`nffi: ${message}`);
  process.exit(1);
}

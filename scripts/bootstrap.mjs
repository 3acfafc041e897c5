// Runs a script of this directory in a fresh clone: `node scripts/bootstrap.mjs scripts/test.mjs`.
// Checks the Node version, installs the npm dependencies, then imports the script. Needs nothing
// but Node and npm.
import { basename, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { installDependencies } from "./npm-dependencies.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const [major, minor] = process.versions.node.split(".").map(Number);

if (major < 20 || (major === 20 && minor < 19)) {
  fail(
    `needs Node 20.19 or newer, but this is Node ${process.versions.node}\n` +
      "  hint: npm install --global node@20 (as root); or NodeSource, or nvm",
  );
}

/**
 * Lists the missing packages of the operating system first, so it installs the dependencies itself.
 */
const IN_OWN_ORDER = ["demo.mjs"];

const [script] = process.argv.splice(2, 1);
if (script === undefined) fail("name a script");
if (!IN_OWN_ORDER.includes(basename(script))) installDependencies();
await import(pathToFileURL(resolve(root, script)).href);

function fail(message) {
  console.error(`nffi: ${message}`);
  process.exit(1);
}

// Before `npm pack`, which puts the dependencies from node_modules into the tarball: checks that
// they match package-lock.json, so that the tarball contains the versions that were tested.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const [locked, installed] = ["package-lock.json", "node_modules/.package-lock.json"].map(
  packagesIn,
);

const differing = Object.keys(locked)
  .filter((path) => path !== "" && !locked[path].dev)
  .filter((path) => installed[path]?.integrity !== locked[path].integrity);
if (differing.length > 0) {
  console.error(
    `nffi: run \`npm ci\` first: ${differing.join(", ")} differ from package-lock.json`,
  );
  process.exit(1);
}

function packagesIn(name) {
  const file = fileURLToPath(new URL(`../${name}`, import.meta.url));
  return JSON.parse(readFileSync(file, "utf8")).packages;
}

// Before `npm pack`: removes files from dist/ that have no source in src/, since tsc never does,
// and it would be packed. It keeps the file in which tsc records changes, which is not packed.
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");

const entries = existsSync(dist) ? readdirSync(dist, { recursive: true, withFileTypes: true }) : [];
for (const entry of entries.filter((one) => one.isFile() && one.name !== ".tsbuildinfo")) {
  const file = join(entry.parentPath, entry.name);
  const source = relative(dist, file).replace(/\.(js|d\.ts)$/, ".ts");
  if (!existsSync(join(root, "src", source))) rmSync(file);
}

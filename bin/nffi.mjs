#!/usr/bin/env node
// Starts the CLI; nothing else. The Node version is checked before any import, since the
// libraries (and even their syntax) fail on an older Node with an error that explains nothing.
const [major, minor] = process.versions.node.split(".").map(Number);

if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(
    `nffi: needs Node 20.19 or newer, but this is Node ${process.versions.node} ` +
      `(${process.execPath})\n  hint: install a newer Node, or put one first in PATH\n`,
  );
  process.exit(3);
}

try {
  const { main } = await import("../dist/cli.js");
  process.exitCode = await main(process.argv);
} catch (error) {
  if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
  const { existsSync } = await import("node:fs");
  const { dirname, join } = await import("node:path");
  const { fileURLToPath } = await import("node:url");
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const isClone = existsSync(join(root, "tsconfig.json"));
  process.stderr.write(
    `nffi: this ${isClone ? "clone is not compiled" : "installation is incomplete"}: ${error.message}\n` +
      `  hint: ${isClone ? `run \`cd ${root} && npm ci --ignore-scripts && npm run build\` first` : "install nffi again"}\n`,
  );
  process.exitCode = 10;
}

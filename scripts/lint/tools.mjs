// Finds the linters: in node_modules, on PATH, or pinned versions in .nffi/lint, which are
// installed on first use by the package manager of their language.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { $, which } from "zx";

const RUFF = "0.17.6";
const STATICCHECK = "v0.8.2";
const FOLDER = resolve(".nffi/lint/tools");

const quiet = $({ nothrow: true, quiet: true });

/** Packages of Debian by program. */
const PACKAGES = {
  cargo: "cargo",
  "cargo-clippy": "rust-clippy",
  "clang-tidy": "clang-tidy",
  go: "golang-go",
  javac: "default-jdk-headless",
  luacheck: "lua-check",
  make: "make",
  shellcheck: "shellcheck",
};

const PINNED = {
  async ruff(path) {
    const venv = resolve(FOLDER, `ruff-${RUFF}`);
    await quiet`python3 -m venv ${venv} && ${venv}/bin/pip install --quiet ruff==${RUFF}`;
    return existsSync(path)
      ? ""
      : `python3 -m venv ${venv} && ${venv}/bin/pip install ruff==${RUFF}`;
  },
  async staticcheck(path) {
    const folder = resolve(path, "..");
    const module = `honnef.co/go/tools/cmd/staticcheck@${STATICCHECK}`;
    await quiet({ env: { ...process.env, GOBIN: folder } })`go install ${module}`;
    return existsSync(path) ? "" : `GOBIN=${folder} go install ${module}`;
  },
};

const PINNED_PATHS = {
  ruff: resolve(FOLDER, `ruff-${RUFF}/bin/ruff`),
  staticcheck: resolve(FOLDER, `staticcheck-${STATICCHECK}/staticcheck`),
};

/** `{ path }` of a program, or `{ hint }`, the command that installs it. */
export async function findTool(name) {
  const local = resolve("node_modules/.bin", name);
  if (existsSync(local)) return { path: local };
  const pinned = PINNED_PATHS[name];
  if (pinned) {
    const hint = existsSync(pinned) ? "" : await PINNED[name](pinned);
    return hint === "" ? { path: pinned } : { hint };
  }
  const path = await which(name, { nothrow: true });
  return path ? { path } : { hint: `apt-get install ${PACKAGES[name] ?? name}` };
}

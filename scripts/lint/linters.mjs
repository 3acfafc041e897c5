// The table of linters. `check` returns what its tools found, or "". `needs` returns why a linter
// is left out, or "".
import { readFileSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { $, within } from "zx";
import { clangTidy } from "./clang-tidy.mjs";
import { clangTidyGlue, configuredNginx } from "./clang-tidy-glue.mjs";
import { longLines } from "./line-length.mjs";

const quiet = $({ nothrow: true, quiet: true });
const PREFIX = resolve(".nffi/lint/prefix");

export const linters = [
  {
    name: "biome",
    tools: ["biome"],
    check: async (tool) =>
      onFailure(await quiet`${tool("biome")} check --error-on-warnings --colors=off .`),
  },
  {
    name: "line length",
    tools: [],
    check: async () => longLines(await tracked()),
  },
  {
    name: "types",
    tools: ["tsc"],
    check: async (tool) => onFailure(await quiet`${tool("tsc")} -p tsconfig.test.json`),
  },
  {
    name: "clang-tidy",
    tools: ["clang-tidy"],
    check: async (tool) =>
      await clangTidy(tool("clang-tidy"), await tracked("*.c", "*.h"), await homeOfJdk()),
  },
  {
    name: "clang-tidy glue",
    tools: ["clang-tidy"],
    needs: () =>
      configuredNginx()
        ? ""
        : "no configured nginx: set NFFI_LINT_NGINX to its source directory, or run the tests once",
    check: async (tool) =>
      await clangTidyGlue(tool("clang-tidy"), await tracked("c-src/ngx/*.c"), configuredNginx()),
  },
  {
    name: "luacheck",
    tools: ["luacheck"],
    check: async (tool) =>
      onFailure(await quiet`${tool("luacheck")} --quiet --no-color ${await tracked("*.lua")}`),
  },
  {
    name: "ruff",
    tools: ["ruff"],
    check: async (tool) =>
      onFailure(await quiet`${tool("ruff")} check --no-cache --quiet ${await tracked("*.py")}`),
  },
  {
    name: "shellcheck",
    tools: ["shellcheck"],
    check: async (tool) => onFailure(await quiet`${tool("shellcheck")} ${await shellScripts()}`),
  },
  {
    // the Makefile compiles with -Xlint:all -Werror
    name: "javac",
    tools: ["make", "javac"],
    check: async () => onFailure(await install()),
  },
  {
    name: "go vet",
    tools: ["make", "go"],
    check: async (tool) => await inGoPackage`${tool("go")} vet ./...`,
  },
  {
    name: "staticcheck",
    tools: ["make", "go", "staticcheck"],
    check: async (tool) => await inGoPackage`${tool("staticcheck")} ./...`,
  },
  {
    name: "clippy",
    tools: ["make", "cargo", "cargo-clippy"],
    check: async (tool) => await clippy(tool("cargo")),
  },
];

function onFailure({ exitCode, stdout, stderr }) {
  return exitCode === 0 ? "" : `${stdout}${stderr}` || `exit code ${exitCode}`;
}

/** Files that git knows, by pathspec; without what was deleted. */
async function tracked(...patterns) {
  const { stdout } = await quiet`git ls-files --cached --others --exclude-standard ${patterns}`;
  const { stdout: deleted } = await quiet`git ls-files --deleted ${patterns}`;
  const gone = new Set(deleted.split("\n"));
  return stdout.split("\n").filter((file) => file !== "" && !gone.has(file));
}

async function shellScripts() {
  const files = await tracked();
  const hasNoSuffix = (file) => !/\.\w+$/.test(file) || file.endsWith(".sh");
  return files.filter(
    (file) => hasNoSuffix(file) && /^#!.*\b(sh|bash)\b/.test(readFileSync(file, "utf8")),
  );
}

/** The C project in .nffi/lint/prefix, which the packages of the languages compile against. */
let installing;
function install() {
  installing ??= within(async () => {
    const javaHome = await homeOfJdk();
    // `make install` removes nothing: a source that was renamed would be in the package twice
    rmSync(PREFIX, { recursive: true, force: true });
    const folders = [`BUILD_DIR=${resolve(".nffi/lint/build")}`, `PREFIX=${PREFIX}`];
    const env = { ...process.env, PATH: `/usr/lib/ccache:${process.env.PATH}` };
    return await quiet({ env })`make -s -C c-src all install ${folders} JAVA_HOME=${javaHome}`;
  });
  return installing;
}

async function homeOfJdk() {
  const { stdout } = await quiet`readlink -f "$(command -v javac)"`;
  return stdout.trim() === "" ? "" : dirname(dirname(stdout.trim()));
}

async function inGoPackage(strings, ...values) {
  const built = onFailure(await install());
  if (built !== "") return built;
  return onFailure(
    await $({ nothrow: true, quiet: true, cwd: `${PREFIX}/nffi/go` })(strings, ...values),
  );
}

async function clippy(cargo) {
  const built = onFailure(await install());
  if (built !== "") return built;
  const env = { ...process.env, NFFI_PREFIX: PREFIX, CARGO_TARGET_DIR: resolve(".nffi/lint/rust") };
  const [manifest] = await tracked("c-src/**/rust/Cargo.toml", "c-src/rust/Cargo.toml");
  const flags = ["--manifest-path", manifest, "--all-targets", "--all-features"];
  const run = $({ nothrow: true, quiet: true, env });
  return onFailure(await run`${cargo} clippy --quiet ${flags} -- -D warnings`);
}

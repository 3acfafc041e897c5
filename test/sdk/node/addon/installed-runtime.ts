// The runtime host as `nffi build` installs it (PREFIX/nffi/lib and PREFIX/nffi/node), made from
// the sources as they are now, and the C program that plays the worker. Both are kept in
// .nffi/test, one of each for every worker of vitest, so that only what changed is compiled again.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import ts from "typescript";
import { repository } from "../../../support/cli.js";
import { withCompileCache } from "../../../support/compile-cache.js";

const folder = join(repository, ".nffi/test/addon", process.env.VITEST_POOL_ID ?? "1");
const buildFolder = join(folder, "build");
const prefix = join(folder, "prefix");
const programs = join(prefix, "nffi/node");

export interface InstalledRuntime {
  /** The program that Node runs. */
  readonly main: string;
  readonly addon: string;
  /** Plays the worker. */
  readonly host: string;
  /** Starts the runtime. */
  readonly supervisor: string;
}

let installed: InstalledRuntime | undefined;

export function installedRuntime(): InstalledRuntime {
  installed ??= install();
  return installed;
}

function install(): InstalledRuntime {
  mkdirSync(folder, { recursive: true });
  makeLibraries();
  installPrograms();
  return {
    main: join(programs, "main.js"),
    addon: join(programs, "nffi.node"),
    host: makeHost(),
    supervisor: join(prefix, "nffi/bin/nffi-supervisor"),
  };
}

function makeLibraries(): void {
  const headers = dirname(resolve("node-api-headers/include/node_api.h"));
  run("make", [
    ...["-s", "-C", join(repository, "c-src"), "all", "install"],
    ...[`BUILD_DIR=${buildFolder}`, `PREFIX=${prefix}`, `NODE_API_INCLUDE=${headers}`],
  ]);
}

/** One file at a time and without type checks: those are the linter's. */
function installPrograms(): void {
  const sources = join(repository, "src/node-runtime");
  for (const file of readdirSync(programs)) {
    if (file.endsWith(".js")) rmSync(join(programs, file));
  }
  for (const file of readdirSync(sources)) {
    const { outputText } = ts.transpileModule(readFileSync(join(sources, file), "utf8"), {
      compilerOptions: { module: ts.ModuleKind.ES2022, target: ts.ScriptTarget.ES2022 },
    });
    writeFileSync(join(programs, file.replace(/\.ts$/, ".js")), outputText);
  }
  writeFileSync(join(programs, "package.json"), '{ "type": "module" }\n');
  const stripper = dirname(resolve("@swc/wasm-typescript/package.json"));
  cpSync(stripper, join(programs, "node_modules/@swc/wasm-typescript"), { recursive: true });
}

function makeHost(): string {
  const host = join(folder, "host");
  const cSources = join(repository, "c-src");
  run(process.env.CC ?? "cc", [
    ...["-Wall", "-Wextra", "-O1", "-g", "-std=gnu11", "-pthread", "-o", host],
    ...[`-I${cSources}/lib`, `-I${cSources}/include`],
    ...[join(repository, "test/sdk/node/addon/host.c"), join(buildFolder, "libnffi.a")],
  ]);
  return host;
}

function resolve(specifier: string): string {
  return createRequire(import.meta.url).resolve(specifier);
}

function run(command: string, args: readonly string[]): void {
  const env = { ...process.env, ...withCompileCache };
  execFileSync(command, args, { env, stdio: ["ignore", "ignore", "inherit"] });
}

/** Compiles the handlers and servers of bench/compare whose languages need a compiler. */
import { cp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../errors.js";
import { buildEnvironment, type Environment } from "../host/environment.js";
import { findProgram } from "../host/tools.js";
import { run } from "../io/exec.js";

/** Where things are compiled and started. */
export interface Surroundings {
  /** The directory bench/compare of the package. */
  readonly sources: string;
  /** Where everything is built. */
  readonly folder: string;
  readonly env: Environment;
  readonly signal: AbortSignal;
}

export interface Workshop extends Surroundings {
  /** The product that the handlers are compiled for, and its nginx. */
  readonly prefix: string;
  readonly nginx: string;
}

/** Why something is not measured, in words that follow a name and a colon. */
export interface Missing {
  readonly reason: string;
}

export function isMissing(found: object): found is Missing {
  return "reason" in found;
}

export async function buildC(
  workshop: Workshop,
): Promise<{ server: string; floor: string } | Missing> {
  const cc = workshop.env.CC || "cc";
  if (!(await findProgram(cc, workshop.env))) return { reason: `no ${cc} in PATH` };
  const built = {
    server: join(workshop.folder, "c-server"),
    floor: join(workshop.folder, "floor"),
  };
  const source = (name: string) => join(workshop.sources, "c", name);
  await compile(workshop, cc, ["-O2", "-o", built.server, source("echo_server.c")]);
  await compile(workshop, cc, ["-O2", "-pthread", "-o", built.floor, source("floor.c"), "-lm"]);
  return built;
}

export async function buildGo(
  workshop: Workshop,
): Promise<{ library: string; server: string } | Missing> {
  const go = await findProgram("go", workshop.env);
  if (go === undefined) return { reason: "no go in PATH" };
  const { folder, prefix } = workshop;
  const cwd = join(folder, "go");
  await cp(join(workshop.sources, "go"), cwd, { recursive: true });
  const built = { library: join(folder, "libgo_echo.so"), server: join(folder, "go-server") };
  const module = `nffi.local/nffi=${join(prefix, "nffi/go")}`;
  await compile(workshop, go, ["mod", "edit", `-replace=${module}`], cwd);
  await compile(workshop, go, ["build", "-buildmode=c-shared", "-o", built.library, "."], cwd);
  await compile(workshop, go, ["build", "-o", built.server, "."], cwd);
  return built;
}

/** A library for ngx.load_ffi(); nothing if its compiler is missing. */
export async function buildFfiLibrary(
  workshop: Workshop,
  name: "c" | "go",
): Promise<string | undefined> {
  const library = join(workshop.folder, `lib${name}_echo_ffi.so`);
  const compiler = name === "go" ? "go" : workshop.env.CC || "cc";
  if (!(await findProgram(compiler, workshop.env))) return undefined;
  if (name === "c") {
    const source = join(workshop.sources, "c/echo_ffi.c");
    const args = ["-O2", "-pthread", "-fPIC", "-shared", "-o", library, source];
    await compile(workshop, compiler, args);
    return library;
  }
  const cwd = join(workshop.folder, "go-ffi");
  await cp(join(workshop.sources, "go/ffi"), cwd, { recursive: true });
  await compile(workshop, compiler, ["build", "-buildmode=c-shared", "-o", library, "."], cwd);
  return library;
}

export async function buildRust(
  workshop: Workshop,
): Promise<{ library: string; server: string } | Missing> {
  const cargo = await findProgram("cargo", workshop.env);
  if (cargo === undefined) return { reason: "no cargo in PATH" };
  const cwd = join(workshop.folder, "rust");
  await cp(join(workshop.sources, "rust"), cwd, { recursive: true });
  await writeFile(join(cwd, "Cargo.toml"), cargoToml(join(workshop.prefix, "nffi/rust")));
  await compile(workshop, cargo, ["build", "--release", "--quiet"], cwd);
  const release = join(cwd, "target/release");
  return { library: join(release, "libecho.so"), server: join(release, "server") };
}

const cargoToml = (sdk: string) => `[package]
name = "echo"
version = "0.0.0"
edition = "2021"

[lib]
crate-type = ["cdylib"]

[[bin]]
name = "server"
path = "src/main.rs"

[dependencies]
nffi = { path = ${JSON.stringify(sdk)} }
`;

export async function buildJava(workshop: Workshop): Promise<{ classes: string } | Missing> {
  const javac = await findProgram("javac", workshop.env);
  if (javac === undefined) return { reason: "no javac in PATH" };
  const classes = join(workshop.folder, "classes");
  const sources = ["Echo", "Server"].map((name) => join(workshop.sources, "java", `${name}.java`));
  const jar = join(workshop.prefix, "nffi/java/nffi.jar");
  await compile(workshop, javac, ["-cp", jar, "-d", classes, ...sources]);
  return { classes };
}

async function compile(
  { env, folder, signal }: Surroundings,
  program: string,
  args: readonly string[],
  cwd = folder,
): Promise<void> {
  const done = await run({ program, args, cwd, env: buildEnvironment(env) }, { signal });
  if (done.exitCode === 0) return;
  const command = [program, ...args].join(" ");
  throw new NffiError("compile-failed", `${command} failed`, {
    hint: done.stderr.trim().split("\n").slice(-10).join("\n"),
  });
}

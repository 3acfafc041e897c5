// The same echo in each language, built in the directory dir; for memory.mjs.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const handlers = join(here, "../compare");

/** Returns a row for each way to host a language; skips languages without a compiler. */
export function runtimes(prefix, dir) {
  const go = buildGo(prefix, dir);
  const rust = buildRust(prefix, dir);
  const java = buildJava(prefix, dir);
  const python = { module: join(handlers, "python/echo.py"), codec: "raw" };
  const both = (name, load, options) => [
    { name: `${name}, process`, load, options },
    { name: `${name}, worker`, load, options: { ...options, host: "worker" } },
  ];
  return [
    { name: "C", load: join(prefix, "nffi/lib/libnffi_echo.so") },
    ...(rust ? [{ name: "Rust", load: rust }] : []),
    ...(go ? [{ name: "Go", load: go }] : []),
    { name: "TypeScript, process", load: "node", options: { module: join(here, "echo.mjs") } },
    ...both("Python", "python", python),
    ...(java ? both("Java", "java", java) : []),
  ];
}

function buildGo(prefix, dir) {
  if (spawnSync("go", ["version"]).status !== 0) return undefined;
  const cwd = join(dir, "go");
  cpSync(join(handlers, "go"), cwd, { recursive: true });
  const library = join(dir, "libgo.so");
  run("go", ["mod", "edit", `-replace=nffi.local/nffi=${prefix}/nffi/go`], cwd);
  run("go", ["build", "-buildmode=c-shared", "-o", library, "."], cwd);
  return library;
}

function buildRust(prefix, dir) {
  if (spawnSync("cargo", ["--version"]).status !== 0) return undefined;
  const cwd = join(dir, "rust");
  cpSync(join(handlers, "rust"), cwd, { recursive: true });
  writeFileSync(
    join(cwd, "Cargo.toml"),
    `[package]
name = "echo"
version = "0.0.0"
edition = "2021"

[lib]
crate-type = ["cdylib"]

[dependencies]
nffi = { path = "${prefix}/nffi/rust" }
`,
  );
  run("cargo", ["build", "--release", "--quiet"], cwd);
  return join(cwd, "target/release/libecho.so");
}

/** The options of nffi.load, or nothing where there is no JDK or the product has no Java. */
function buildJava(prefix, dir) {
  const jar = join(prefix, "nffi/java/nffi.jar");
  if (!existsSync(jar) || spawnSync("javac", ["-version"]).status !== 0) return undefined;
  const classes = join(dir, "classes");
  run("javac", ["-cp", jar, "-d", classes, join(handlers, "java/Echo.java")], dir);
  return { module: "Echo", classpath: classes, jvm_args: ["-Xmx256m"] };
}

function run(program, args, cwd) {
  const ran = spawnSync(program, args, { cwd });
  if (ran.status !== 0) throw new Error(String(ran.stderr));
}

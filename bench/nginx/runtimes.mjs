// The same echo in each language, built in the folder dir; for languages.mjs and memory.mjs.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildGo } from "./go.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const handlers = join(here, "../compare");

/** Returns a row for each way to host a language; skips languages without a compiler. */
export function runtimes(prefix, dir) {
  const go = buildGo(dir, prefix);
  const rust = buildRust(prefix, dir);
  const java = buildJava(prefix, dir);
  const python = { module: join(handlers, "python/echo.py"), codec: "raw" };
  const both = (name, load, options, more = {}) => [
    { name: `${name}, process`, load, options, process: true, ...more },
    { name: `${name}, worker`, load, options: { ...options, host: "worker" }, ...more },
  ];
  return [
    { name: "C", load: join(prefix, "nffi/lib/libnffi_echo.so") },
    ...(rust ? [{ name: "Rust", load: rust }] : []),
    ...(rust ? [{ name: "Rust, inline", load: rust, method: "inline" }] : []),
    ...(go ? [{ name: "Go", load: go.library }] : []),
    ...(go ? [{ name: "Go, inline", load: go.library, method: "inline" }] : []),
    {
      name: "TypeScript, process",
      load: "node",
      options: { module: join(here, "echo.mjs") },
      process: true,
    },
    ...both("Python", "python", python),
    ...(java ? both("Java", "java", java) : []),
    ...(java ? both("Java, inline", "java", java, { method: "inline" }) : []),
  ];
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

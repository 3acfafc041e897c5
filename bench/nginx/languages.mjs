// The cost of a call in each language, from Lua in a real worker: an echo of 512 B, one call after
// another and 64 at once, on one CPU and on two. Each language has its own worker; those whose
// compiler is not there are left out.
//
//   node bench/nginx/languages.mjs PREFIX [CALLS]
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildGo } from "./go.mjs";
import { startWorker, stopAll } from "./worker.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const prefix = resolve(process.argv[2] ?? ".nffi/openresty");
const calls = Number(process.argv[3] ?? 20000);
const SIZE = 512;
const TOGETHER = 64;
const FIRST = 100000; // not measured: a virtual machine compiles what it runs often
if (!existsSync(join(prefix, "nffi/lib/libnffi_echo.so"))) {
  console.error(`no product of nffi in ${prefix}; name its prefix`);
  process.exit(2);
}

const dir = mkdtempSync(join(tmpdir(), "nffi-bench-"));
try {
  const rows = runtimes();
  for (const pinned of [true, false]) {
    console.log(`${SIZE} B, ${pinned ? "one CPU" : "two CPUs"}`);
    for (const row of rows) await measure(row, pinned);
  }
} finally {
  stopAll();
  rmSync(dir, { recursive: true, force: true });
}

async function measure({ name, load, options, method, process }, pinned) {
  const worker = await startWorker({ prefix, dir, pinned });
  const given = process ? { ...options, affinity: pinned ? "inherit" : "all" } : options;
  const ask = (count, together) =>
    worker.ask({
      load,
      ...(given && { options: JSON.stringify(given) }),
      ...(method && { method }),
      size: SIZE,
      count,
      together,
    });
  await ask(FIRST, TOGETHER);
  const alone = await ask(calls, 1);
  const many = await ask(calls * 10, TOGETHER);
  await worker.stop();
  const us = (rate) => `${(1e6 / rate).toFixed(1).padStart(7)} us`;
  console.log(`  ${name.padEnd(24)} ${us(alone)} a call   ${us(many)} with ${TOGETHER} at once`);
}

/** One row for each way to host a language. */
function runtimes() {
  const go = buildGo(dir, prefix);
  const rust = buildRust();
  const java = buildJava();
  const python = { module: join(here, "languages/echo.py"), codec: "raw" };
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

function buildRust() {
  if (spawnSync("cargo", ["--version"]).status !== 0) return undefined;
  const cwd = join(dir, "rust");
  cpSync(join(here, "languages/rust"), cwd, { recursive: true });
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
function buildJava() {
  const jar = join(prefix, "nffi/java/nffi.jar");
  if (!existsSync(jar) || spawnSync("javac", ["-version"]).status !== 0) return undefined;
  const classes = join(dir, "classes");
  run("javac", ["-cp", jar, "-d", classes, join(here, "languages/Echo.java")], dir);
  return { module: "Echo", classpath: classes, jvm_args: ["-Xmx256m"] };
}

function run(program, args, cwd) {
  const ran = spawnSync(program, args, { cwd });
  if (ran.status !== 0) throw new Error(String(ran.stderr));
}

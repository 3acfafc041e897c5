// The Rust crate as installed in a prefix, with its own tests, its linter and its documentation.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { repository, runProgram } from "../../support/cli.js";
import { withCompileCache } from "../../support/compile-cache.js";
import { temporaryFolder } from "../../support/temporary.js";
import { cargoEnv } from "./cargo.js";

const sources = join(repository, "c-src/sdk/rust");
const folder = join(repository, ".nffi/test/rust");
const installed = join(folder, "prefix/nffi/rust");

/** The tests in the sources, by file, so that one that never ran fails here. */
function namesIn(file: string): string[] {
  const text = readFileSync(join(sources, file), "utf8");
  return [...text.matchAll(/#\[test\]\s+fn (\w+)/g)].map((match) => match[1] ?? "");
}

const testFiles = [
  "src/ffi/abi/tests.rs",
  ...readdirSync(join(sources, "tests")).map((f) => `tests/${f}`),
];
const names = testFiles.flatMap((file) => namesIn(file).map((name) => [file, name] as const));

const cargo = (args: string[], env: NodeJS.ProcessEnv = {}, cwd = installed) =>
  runProgram("cargo", args, { cwd, env: { ...cargoEnv, ...env } });

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  rmSync(installed, { recursive: true, force: true });
  const args = [
    ...["-s", "-C", join(repository, "c-src"), "all", "install"],
    ...[`BUILD_DIR=${folder}/build`, `PREFIX=${folder}/prefix`],
  ];
  const made = await runProgram("make", args, { env: withCompileCache });
  expect(made.stderr).toBe("");
  // a prefix has none of the crate's own tests
  expect(readdirSync(installed).sort()).toEqual(["Cargo.toml", "build.rs", "rustfmt.toml", "src"]);
  for (const name of ["Cargo.lock", "tests"]) {
    cpSync(join(sources, name), join(installed, name), { recursive: true });
  }
});

describe.each([
  ["without features", []],
  ["with all features", ["--all-features"]],
])("%s", (_title, features) => {
  const verdicts = new Map<string, string>();
  let output = "";

  beforeAll(async () => {
    const ran = await cargo(["test", "--locked", "--no-fail-fast", ...features]);
    output = ran.stdout + ran.stderr;
    for (const [, name = "", verdict = ""] of output.matchAll(/^test (\S+) .*?(ok|FAILED)$/gm)) {
      verdicts.set(name.replace(/^.*::/, ""), verdict);
    }
  });

  test.each(names.filter(([file]) => features.length > 0 || !/json|async_fn/.test(file)))(
    "%s: %s",
    (_file, name) => {
      expect(output).toContain(name);
      expect(verdicts.get(name), output).toBe("ok");
    },
  );

  test("nothing failed, and the examples of the documentation work", () => {
    expect(output).not.toContain("FAILED");
    expect(output).toMatch(/test src\/lib\.rs - \(line \d+\) \.\.\. ok/);
  });

  test("clippy and rustdoc find nothing", async () => {
    const linted = await cargo(["clippy", "--all-targets", ...features, "--", "-D", "warnings"]);
    expect(linted.exitCode, linted.stderr).toBe(0);
    const documented = await cargo(["doc", "--no-deps", ...features], {
      RUSTDOCFLAGS: "-D warnings",
    });
    expect(documented.exitCode, documented.stderr).toBe(0);
  });
});

test("is formatted", async () => {
  const formatted = await cargo(["fmt", "--check"], {}, sources);
  expect(formatted.stdout + formatted.stderr).toBe("");
});

test("without features nothing is downloaded: a program without a registry compiles", async () => {
  const project = temporaryFolder();
  mkdirSync(join(project, "src"));
  writeFileSync(
    join(project, "Cargo.toml"),
    `[package]\nname = "alone"\nversion = "0.1.0"\nedition = "2021"\n
     [dependencies]\nnffi = { path = ${JSON.stringify(installed)} }\n`,
  );
  const code = `#![forbid(unsafe_code)]
    nffi::serve!(start);
    pub fn start(_: ()) -> Result<nffi::Service, nffi::BoxError> { Ok(nffi::Service::new()) }`;
  writeFileSync(join(project, "src/lib.rs"), code);
  const built = await cargo(["build", "--offline"], { CARGO_HOME: join(project, "home") }, project);
  expect(built.exitCode, built.stderr).toBe(0);
  expect(built.stderr).not.toContain("warning");
});

test("a copy elsewhere is built with pkg-config, and says what it lacks without", async () => {
  const copy = temporaryFolder();
  for (const name of ["Cargo.toml", "Cargo.lock", "build.rs", "src"]) {
    cpSync(join(installed, name), join(copy, name), { recursive: true });
  }
  const lost = await cargo(["check"], { PKG_CONFIG_PATH: copy, PKG_CONFIG_LIBDIR: copy }, copy);
  expect(lost.stderr).toContain("set NFFI_PREFIX or PKG_CONFIG_PATH=PREFIX/nffi/lib/pkgconfig");
  expect(lost.exitCode).not.toBe(0);
  const found = await cargo(
    ["check"],
    { PKG_CONFIG_PATH: join(folder, "prefix/nffi/lib/pkgconfig") },
    copy,
  );
  expect(found.exitCode, found.stderr).toBe(0);
});

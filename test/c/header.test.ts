// The interface of libnffi for runtimes: a header for C and C++, and a library that exports exactly
// the names in the header and its version map.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { repository, runProgram } from "../support/cli.js";
import { withCompileCache } from "../support/compile-cache.js";

const include = join(repository, "c-src/include");
const header = readFileSync(join(include, "nffi.h"), "utf8");
const compat = ["task_poll", "get_req", "respond"].flatMap((name) => [
  `ngx_http_lua_nonblocking_ffi_${name}`,
  `ngx_http_lua_ffi_${name}`,
]);

describe("nffi.h", () => {
  test.for([
    ["C99", "-std=c99", "-xc"],
    ["C17", "-std=c17", "-xc"],
    ["C++11", "-std=c++11", "-xc++"],
  ] as const)("compiles alone as %s, without a warning", async ([, ...flags], context) => {
    const warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"];
    const result = await runProgram("cc", [...flags, ...warnings, join(include, "nffi.h")]);
    if (result.stderr.includes("cc1plus")) context.skip("no C++ compiler here");
    expect(result.stderr).toBe("");
    expect(result.exitCode).toBe(0);
  });
});

describe("libnffi.so.1", () => {
  let buildDir = "";
  let library = "";

  beforeAll(async () => {
    buildDir = mkdtempSync(join(tmpdir(), "nffi-c-"));
    library = join(buildDir, "libnffi.so.1");
    const make = ["-C", join(repository, "c-src"), "-j2", library, `BUILD_DIR=${buildDir}`];
    const result = await runProgram("make", make, { env: withCompileCache });
    if (result.exitCode !== 0) throw new Error(result.stderr);
  });

  afterAll(() => rmSync(buildDir, { recursive: true, force: true }));

  test("exports the header's functions, the two older ABIs and the host's side", async () => {
    const { stdout } = await runProgram("nm", ["-D", "--defined-only", "-P", library]);
    const exported = stdout
      .split("\n")
      .map((line) => line.split(/[@ ]/)[0] ?? "")
      .filter((name) => /^[a-z]/.test(name));
    const declared = [...header.matchAll(/^NFFI_API [^;(]*?(nffi_\w+)\(/gm)].map((m) => m[1] ?? "");
    expect(declared.length).toBeGreaterThan(15);
    const runtime = exported.filter((name) => !/^nffi_(host|process|supervisor)_/.test(name));
    expect(runtime.sort()).toEqual([...declared, ...compat].sort());
    expect(exported).toContain("nffi_host_submit");
  });

  test("needs libc only", async () => {
    const { stdout } = await runProgram("readelf", ["-d", library]);
    const needed = [...stdout.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map((match) => match[1]);
    expect(needed.filter((name) => !/^(libc|libpthread|ld-linux)/.test(name ?? ""))).toEqual([]);
  });
});

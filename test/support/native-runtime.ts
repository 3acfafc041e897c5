// Native runtimes of the tests, compiled from test/fixtures/runtimes against a built prefix.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { repository } from "./cli.js";
import { flavor } from "./openresty.js";

/** The library made of `<name>.c`. */
export function nativeRuntime(prefix: string, name: string): string {
  const source = fileURLToPath(new URL(`../fixtures/runtimes/${name}.c`, import.meta.url));
  return compile(prefix, source, `lib${name}.so`, ["-fPIC", "-shared"]);
}

/** The program and the library made of one source below the repository. */
export function nativeProgram(
  prefix: string,
  source: string,
): { program: string; library: string } {
  const path = join(repository, source);
  const name = basename(source, ".c");
  return {
    // a library of that flavour needs its run-time library in the program
    program: compile(prefix, path, name, flavor === "asan" ? ["-fsanitize=address"] : []),
    library: compile(prefix, path, `lib${name}.so`, ["-fPIC", "-shared"]),
  };
}

function compile(prefix: string, source: string, name: string, options: string[]): string {
  const key = createHash("sha256").update(prefix).digest("hex").slice(0, 12);
  const folder = join(repository, ".nffi/test/runtimes", key);
  const result = join(folder, name);
  const product = join(prefix, "nffi");
  mkdirSync(folder, { recursive: true });
  execFileSync(
    process.env.CC ?? "cc",
    [
      ...["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-pthread", ...options],
      ...["-o", result, source, `-I${product}/include`, `-L${product}/lib`, "-lnffi"],
      `-Wl,-rpath,${product}/lib`,
    ],
    { stdio: "inherit" },
  );
  return result;
}

// Native runtimes of the tests, compiled from test/fixtures/runtimes against a built prefix.
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The library made of `<name>.c`, in `folder`. */
export function nativeRuntime(prefix: string, name: string, folder: string): string {
  const source = fileURLToPath(new URL(`../fixtures/runtimes/${name}.c`, import.meta.url));
  const library = join(folder, `lib${name}.so`);
  const product = join(prefix, "nffi");
  mkdirSync(folder, { recursive: true });
  execFileSync(
    process.env.CC ?? "cc",
    [
      ...["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-fPIC", "-shared", "-pthread"],
      ...["-o", library, source, `-I${product}/include`, `-L${product}/lib`, "-lnffi"],
      `-Wl,-rpath,${product}/lib`,
    ],
    { stdio: "inherit" },
  );
  return library;
}

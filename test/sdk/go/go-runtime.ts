// Builds Go programs of the tests and examples with the package of a prefix, as a library and as a
// program, in a directory that workers of any user may enter.
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository } from "../../support/cli.js";

export interface GoRuntime {
  readonly folder: string;
  readonly library: string;
  readonly program: string;
  remove(): void;
}

/** `source`: the directory of a module, below the repository. */
export function buildGoRuntime(source: string, prefix: string): GoRuntime {
  const folder = mkdtempSync(join(tmpdir(), "nffi-go-"));
  chmodSync(folder, 0o755);
  cpSync(join(repository, source), folder, { recursive: true });
  const runtime = {
    folder,
    library: join(folder, "libruntime.so"),
    program: join(folder, "runtime"),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
  const go = (...args: string[]) =>
    execFileSync("go", args, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  // the module, and its former name
  const names = ["nffi.local/nffi", "nffi"];
  go("mod", "edit", ...names.map((name) => `-replace=${name}=${prefix}/nffi/go`));
  go("build", "-buildmode=c-shared", "-o", runtime.library, ".");
  go("build", "-o", runtime.program, ".");
  return runtime;
}

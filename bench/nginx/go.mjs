// Builds the Go handler of go/ as a library and as a program.
import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

/** { library, program } in dir, or nothing where there is no Go. */
export function buildGo(dir, prefix) {
  if (spawnSync("go", ["version"]).status !== 0) return undefined;
  const cwd = join(dir, "go");
  cpSync(join(here, "go"), cwd, { recursive: true });
  const built = { library: join(dir, "libgo.so"), program: join(dir, "go-echo") };
  for (const args of [
    ["mod", "edit", `-replace=nffi.local/nffi=${prefix}/nffi/go`],
    ["build", "-buildmode=c-shared", "-o", built.library, "."],
    ["build", "-o", built.program, "."],
  ]) {
    const ran = spawnSync("go", args, { cwd });
    if (ran.status !== 0) throw new Error(String(ran.stderr));
  }
  return built;
}

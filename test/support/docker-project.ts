// Projects of `nffi new-runtime` and the package of nffi, for runs of their Dockerfiles.
import { cpSync } from "node:fs";
import { basename, join } from "node:path";
import { expect } from "vitest";
import { runCli, runProgram } from "./cli.js";
import type { DockerRun } from "./dockerfile.js";
import { builtOpenresty } from "./openresty.js";

/** Asks until nginx answers, and prints that; what building took must not be in the last image. */
export const ASK = `
  [ ! -e /tmp/nffi.tgz ]
  [ -z "$(ls /app/nffi-*.tgz 2> /dev/null)" ]
  for i in $(seq 100); do
    answer=$(curl -sf 'http://127.0.0.1:8080/hello?name=World') && break
    sleep 0.1
  done
  echo "$answer"`;

/** The file that `npm pack` makes, in `folder`. */
export async function packNffi(folder: string): Promise<string> {
  const packed = await runProgram("npm", [
    "pack",
    "--ignore-scripts",
    "--pack-destination",
    folder,
  ]);
  expect(packed.exitCode, packed.stderr).toBe(0);
  return join(folder, packed.stdout.trim().split("\n").at(-1) ?? "");
}

/** A new project in `folder` with the package; its image must not have the paths in `without`. */
export async function projectRun(
  language: string,
  { folder, packed, without }: { folder: string; packed: string; without: readonly string[] },
): Promise<DockerRun> {
  const args = ["new-runtime", `my-${language}`, "--lang", language];
  const made = await runCli([...args, "--prefix", await builtOpenresty()], { cwd: folder });
  expect(made.stderr).toBe("");
  const context = join(folder, `my-${language}`);
  cpSync(packed, join(context, basename(packed)));
  const absent = without.map((path) => `[ ! -e /app/${path} ]\n`).join("");
  return { dockerfile: join(context, "Dockerfile"), context, meanwhile: absent + ASK };
}

// Builds Rust programs of the tests and examples with the crate of a prefix, as a library and as a
// program, and puts both into a directory that workers of any user may enter.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository } from "../../support/cli.js";
import { cargoEnv } from "./cargo.js";

export interface RustRuntime {
  /** The sources that were compiled. */
  readonly source: string;
  readonly library: string;
  /** The one that has the name of the library. */
  readonly program: string;
  /** All of them by name. */
  readonly programs: Readonly<Record<string, string>>;
  remove(): void;
}

/** `source`: the directory of a crate below the repository. */
export function buildRustRuntime(source: string, prefix: string): RustRuntime {
  const key = createHash("sha256").update(`${prefix} ${source}`).digest("hex").slice(0, 12);
  const project = join(repository, ".nffi/test/rust-projects", key);
  mkdirSync(project, { recursive: true });
  rmSync(join(project, "src"), { recursive: true, force: true });
  cpSync(join(repository, source), project, {
    recursive: true,
    filter: isSource,
    preserveTimestamps: true,
  });
  const manifest = join(project, "Cargo.toml");
  const text = readFileSync(manifest, "utf8");
  const found = text.replace(
    /path = "[^"]*\/rust"/,
    `path = ${JSON.stringify(`${prefix}/nffi/rust`)}`,
  );
  writeFileSync(manifest, found);
  const args = ["build", "--message-format=json"];
  const output = execFileSync("cargo", args, {
    cwd: project,
    env: { ...process.env, ...cargoEnv },
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  const folder = mkdtempSync(join(tmpdir(), "nffi-rust-"));
  chmodSync(folder, 0o755);
  const library = join(folder, "libruntime.so");
  let itsName = "";
  const programs: Record<string, string> = {};
  for (const { name, kind, file } of artifactsOf(output, manifest)) {
    if (kind === "cdylib" && file.endsWith(".so")) {
      copyFileSync(file, library);
      itsName = name;
    }
    if (kind !== "bin") continue;
    programs[name] = join(folder, name);
    copyFileSync(file, programs[name]);
  }
  return {
    source: project,
    library,
    program: programs[itsName] ?? "",
    programs,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

const isSource = (path: string) => !/\/target$/.test(path);

interface Artifact {
  readonly name: string;
  readonly kind: string;
  readonly file: string;
}

/** The files that cargo reports as built from the crate itself. */
function artifactsOf(output: string, manifest: string): Artifact[] {
  return output
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line))
    .filter((said) => said.reason === "compiler-artifact" && said.manifest_path === manifest)
    .flatMap(({ target, filenames }) =>
      (filenames as string[]).map((file) => ({ name: target.name, kind: target.kind[0], file })),
    );
}

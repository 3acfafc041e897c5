// The compiler of the prebuilt files: zig's clang, which brings the headers and symbols of every
// glibc. It comes from PyPI, in exactly one version, whose files are pinned by their hashes.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { run } from "./run.mjs";

export const ZIG_VERSION = "0.14.1";

/** Of the wheels for machines that compile: x86-64, arm64. */
const WHEELS = [
  "6eb9d4d759b292c83810dbee2e9e8e3fbfbf01d864e6e9811bae711fd74e1c2f",
  "7994b27f3cbfcedea43f9b7552e38b45857bdf0e9a45065474092dd74e7048cf",
];

/** Why zig cannot be installed; undefined if it can. */
export function missingForZig(cache) {
  if (existsSync(programIn(cache))) return undefined;
  const pip = spawnSync("python3", ["-m", "pip", "--version"], { stdio: "ignore" });
  return pip.status === 0 ? undefined : { what: "python3 with pip", packages: ["python3-pip"] };
}

/** Returns the path of zig in the directory `cache`, where it is installed once. */
export function installedZig(cache) {
  const program = programIn(cache);
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  const made = mkdtempSync(join(cache, ".ziglang-"));
  const requirements = join(made, "requirements.txt");
  const hashes = WHEELS.map((hash) => ` --hash=sha256:${hash}`).join("");
  writeFileSync(requirements, `ziglang==${ZIG_VERSION}${hashes}\n`);
  console.error(`nffi: downloading ziglang ${ZIG_VERSION} from PyPI (83 MB)`);
  const only = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-cache-dir"];
  run("python3", ["-m", "pip", "download", ...only, "-r", requirements, "-d", made]);
  const [wheel] = readdirSync(made).filter((name) => name.endsWith(".whl"));
  run("python3", ["-m", "zipfile", "-e", join(made, wheel), join(made, "unpacked")]);
  const folder = join(made, "unpacked/ziglang");
  chmodSync(join(folder, "zig"), 0o755);
  if (!existsSync(program)) renameSync(folder, folderIn(cache));
  rmSync(made, { recursive: true });
  return program;
}

function folderIn(cache) {
  return join(cache, `ziglang-${ZIG_VERSION}`);
}

function programIn(cache) {
  return join(folderIn(cache), "zig");
}

// An arm64 Debian without a machine: packages of Debian 13, unpacked once below .nffi/test, whose
// programs run under qemu-user. Nothing of it is installed.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../../support/cli.js";
import { ZIG } from "../../support/prebuilt.js";

const PACKAGES = ["libnginx-mod-http-lua", "nginx-light", "nodejs"];

/** The directory with the files of the packages. */
export function arm64Root(): string {
  const root = join(repository, ".nffi/test/roots/arm64");
  if (existsSync(root)) return root;
  mkdirSync(join(root, ".."), { recursive: true });
  const made = `${root}.${process.pid}`;
  console.log("downloading an arm64 Debian trixie (minutes)");
  try {
    const options = ["--arch=arm64", "--foreign", "--variant=minbase"];
    const include = `--include=${PACKAGES.join(",")}`;
    execFileSync("debootstrap", [...options, include, "trixie", made], { stdio: "pipe" });
    const archives = join(made, "var/cache/apt/archives");
    for (const name of readdirSync(archives).filter((one) => one.endsWith(".deb"))) {
      execFileSync("dpkg-deb", ["-x", join(archives, name), made]);
    }
    renameSync(made, root);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
  return root;
}

/** The arguments of qemu-aarch64 for a program of the root, or one that needs its libraries. */
export function emulated(root: string, program: string, preload?: string): string[] {
  const environment = preload === undefined ? [] : ["-E", `LD_PRELOAD=${preload}`];
  return ["-L", root, ...environment, program];
}

/** The compiler of the prebuilt files, for arm64: words of a command. */
export const CC = [ZIG, "cc", "-target", "aarch64-linux-gnu.2.31"];

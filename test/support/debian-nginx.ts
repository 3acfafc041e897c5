// Debian's own packages of nginx and ngx_lua, as apt-get installs them: in a file system that is
// this machine's with the packages in it, in new namespaces. Requires root. The packages are
// downloaded and unpacked once, below .nffi/test.
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { type CliResult, repository, runProgram } from "./cli.js";
import { canRunStages } from "./dockerfile.js";
import { childrenOf } from "./processes.js";

export const canEnterDebian = canRunStages() && spawnSync("dpkg", ["--version"]).status === 0;

const PACKAGES = [
  ...["nginx", "nginx-common", "libnginx-mod-http-ndk", "libnginx-mod-http-lua"],
  ...["libnginx-mod-stream", "lua-resty-core", "lua-resty-lrucache"],
  ...["libluajit2-5.1-2", "libluajit2-5.1-common"],
];

/** The work of the packages' scripts at their installation: the number decides the order. */
const ENABLED = { "10": "mod-http-ndk", "50": "mod-http-lua" };

/** The unpacked packages, with the modules enabled. */
export function debianNginx(): string {
  return unpacked("debian-nginx", PACKAGES, (root) => {
    const enabled = join(root, "etc/nginx/modules-enabled");
    mkdirSync(enabled, { recursive: true });
    for (const [number, name] of Object.entries(ENABLED)) {
      symlinkSync(
        `/usr/share/nginx/modules-available/${name}.conf`,
        join(enabled, `${number}-${name}.conf`),
      );
    }
    for (const path of ["var/log/nginx", "var/lib/nginx"])
      mkdirSync(join(root, path), { recursive: true });
  });
}

/** Another layer of a machine: nginx-dev, with the headers of Debian's nginx. */
export function debianHeaders(): string {
  return unpacked("debian-nginx-dev", ["nginx-dev"]);
}

function unpacked(
  name: string,
  packages: readonly string[],
  finish: (root: string) => void = () => {},
): string {
  const folder = join(repository, ".nffi/test", name);
  if (existsSync(folder)) return folder;
  const made = `${folder}.${process.pid}`;
  const downloads = join(made, "packages");
  mkdirSync(downloads, { recursive: true });
  execFileSync("apt-get", ["download", "-qq", ...packages], { cwd: downloads, stdio: "pipe" });
  const root = join(made, "root");
  for (const file of readdirSync(downloads)) {
    execFileSync("dpkg", ["-x", join(downloads, file), root]);
  }
  // /lib is a link on the machine; a directory would hide it
  if (existsSync(join(root, "lib"))) {
    cpSync(join(root, "lib"), join(root, "usr/lib"), { recursive: true });
    rmSync(join(root, "lib"), { recursive: true });
  }
  finish(root);
  renameSync(root, folder);
  rmSync(made, { recursive: true });
  return folder;
}

/** Mounts the root below /mnt, in memory, then waits for the end of its input. */
const MAKE = `
set -eu
mount -t tmpfs nffi-machine /mnt
mkdir /mnt/layer /mnt/upper /mnt/work /mnt/root
for layer in "$@"; do cp -a "$layer/." /mnt/layer; done
mount -t overlay nffi-root -o lowerdir=/mnt/layer:/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
mount -t proc proc /mnt/root/proc
mount --rbind /dev /mnt/root/dev
mount -t tmpfs nffi-tmp /mnt/root/tmp
chroot /mnt/root ldconfig
ip link set lo up
echo ready
read -r line || true`;

/** A machine with Debian's nginx; nothing that is done in it is seen outside, or remains. */
export class DebianMachine {
  private constructor(
    private readonly holder: ChildProcess,
    private readonly pid: number,
  ) {}

  /** `layers`: directories whose content is in the root, too. */
  static async start(layers: readonly string[] = [debianNginx()]): Promise<DebianMachine> {
    const own = ["--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", MAKE, "sh"];
    const holder = spawn("unshare", [...own, ...layers], {
      cwd: "/",
      stdio: ["pipe", "pipe", "inherit"],
    });
    const [text] = (await Promise.race([once(holder.stdout, "data"), once(holder, "close")])) ?? [];
    if (!String(text).includes("ready")) throw new Error("no root for Debian's nginx");
    const [child = 0] = childrenOf(holder.pid ?? 0);
    return new DebianMachine(holder, child);
  }

  /** Runs a shell script in the root as root; the repository is readable there. */
  run(script: string): Promise<CliResult> {
    const enter = ["--target", String(this.pid), "--mount", "--pid", "--net"];
    return runProgram("nsenter", [...enter, "chroot", "/mnt/root", "sh", "-c", script], {
      cwd: "/",
    });
  }

  /**
   * Runs the CLI of this repository in it; `before` is put before its command line. It does not see
   * the products that this user has attached outside.
   */
  nffi(args: string, before = ""): Promise<CliResult> {
    const own = "env XDG_STATE_HOME=/tmp/state";
    return this.run(
      `${before} ${own} ${process.execPath} ${join(repository, "bin/nffi.mjs")} ${args}`,
    );
  }

  async remove(): Promise<void> {
    const closed = once(this.holder, "close");
    this.holder.stdin?.end();
    await closed;
  }
}

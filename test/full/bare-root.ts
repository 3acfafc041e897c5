// A Debian with nothing but its base system and its own npm, as a newcomer's machine or container
// is: made by debootstrap once, below .nffi/test; each test gets a copy that costs what it changes.
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { type CliResult, repository, runProgram } from "../support/cli.js";

export type BareSuite = "trixie" | "bookworm";

/** Entering a root needs mounts and chroot. */
export const canEnterRoots =
  process.getuid?.() === 0 && succeeds("unshare", ["--mount", "--pid", "--fork", "true"]);

const roots = join(repository, ".nffi/test/roots");

export class BareRoot {
  readonly #base: string;
  readonly #instance: string;

  /** `name` is the name of the copy; an earlier copy is removed. */
  constructor(suite: BareSuite, name: string) {
    this.#base = baseOf(suite);
    this.#instance = join(roots, `${suite}-${name}`);
    this.remove();
    mkdirSync(this.#instance, { recursive: true });
  }

  /** Runs a bash script in the home of the user; creates the user if necessary. */
  run(user: string, script: string): Promise<CliResult> {
    return enter(this.#base, this.#instance, user, script);
  }

  /** Copies the files of this repository, tracked and new ones, into a home. */
  async clone(user: string): Promise<void> {
    await this.run(user, "true");
    const home = user === "root" ? "/root" : `/home/${user}`;
    const folder = join(this.#instance, "upper", home, "nffi");
    const listed = execFileSync("git", ["ls-files", "-z", "-co", "--exclude-standard"], {
      cwd: repository,
      encoding: "utf8",
    });
    for (const path of listed.split("\0").filter((one) => existsSync(join(repository, one)) && one))
      cpSync(join(repository, path), join(folder, path));
    await this.run("root", `chown -R ${user}: ${home}`);
  }

  /** Copies a file to the home of root. */
  put(file: string): void {
    cpSync(file, join(this.#instance, "upper/root", basename(file)));
  }

  remove(): void {
    rmSync(this.#instance, { recursive: true, force: true });
  }
}

function enter(base: string, instance: string, user: string, script: string): Promise<CliResult> {
  const program = join(repository, "test/full/enter-root.sh");
  const own = ["--mount", "--pid", "--fork", "--kill-child", "bash", program];
  return runProgram("unshare", [...own, base, instance, user, script]);
}

/** debootstrap and npm, as the user of a new machine installs it. */
function baseOf(suite: BareSuite): string {
  const base = join(roots, suite);
  if (existsSync(base)) return base;
  mkdirSync(roots, { recursive: true });
  const made = `${base}.${process.pid}`;
  console.log(`making a bare Debian ${suite} (minutes)`);
  try {
    makeBase(suite, made);
    renameSync(made, base);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
  return base;
}

function makeBase(suite: BareSuite, made: string): void {
  execFileSync("debootstrap", ["--variant=minbase", suite, made], { stdio: "pipe" });
  // what the machine says to apt of its mirror, such as a proxy
  for (const name of readdirSync("/etc/apt/apt.conf.d").filter((one) => !/docker|auto/.test(one)))
    if (/registry|proxy/.test(name))
      cpSync(join("/etc/apt/apt.conf.d", name), join(made, "etc/apt/apt.conf.d", name));
  writeFileSync(join(made, "usr/sbin/policy-rc.d"), "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  const install = "apt-get update && apt-get install -y --no-install-recommends npm";
  const script = join(repository, "test/full/enter-root.sh");
  // not through an overlay: what apt removes would be missing from its upper directory
  execFileSync(
    "unshare",
    ["--mount", "--pid", "--fork", "bash", script, made, made, "root", install],
    { stdio: "pipe", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } },
  );
}

function succeeds(program: string, args: readonly string[]): boolean {
  try {
    execFileSync(program, args, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

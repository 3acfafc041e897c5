/** Small Debian packages made on the spot, and an apt that hands out only what it was given. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import type { Completed } from "../../../../src/io/exec.js";
import type { VerifiedFile } from "../../../../src/sources/debian/choose-revision.js";
import type { PrivateApt } from "../../../../src/sources/debian/private-apt.js";

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "nffi-debian-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function writeFiles(folder: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

/** A tarball of the given files, below the directory `top` unless that is empty. */
export function tarball(name: string, top: string, files: Record<string, string>): VerifiedFile {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "content", top), { recursive: true });
  writeFiles(join(folder, "content", top), files);
  const path = join(folder, name);
  execFileSync("tar", ["--auto-compress", "-cf", path, "-C", join(folder, "content"), "."]);
  return { path, name, sha256: sha256(readFileSync(path)) };
}

export function binaryPackage(name: string, files: Record<string, string>): VerifiedFile {
  const folder = temporaryFolder();
  const control = `Package: ${name}\nVersion: 1-1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n`;
  writeFiles(join(folder, "content"), { ...files, "DEBIAN/control": control });
  const file = `${name}_1-1_all.deb`;
  const path = join(folder, file);
  execFileSync("dpkg-deb", ["--build", join(folder, "content"), path], { stdio: "ignore" });
  return { path, name: file, sha256: sha256(readFileSync(path)) };
}

export function sha256(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

export function completed(over: Partial<Completed> = {}): Completed {
  return {
    exitCode: 0,
    signal: undefined,
    startError: undefined,
    timedOut: false,
    stdout: "",
    stderr: "",
    ...over,
  };
}

/** `archive` are the files that the mirror still has; `show` is what apt-cache show prints. */
export function fakeApt(
  archive: Record<string, string>,
  show = "",
): PrivateApt & { asked: string[] } {
  const asked: string[] = [];
  return {
    dir: "",
    suite: "trixie",
    asked,
    async run(program, args, _options, cwd = ".") {
      if (program === "apt-cache") return completed({ stdout: show });
      asked.push(args.filter((arg) => arg.includes("=")).join(" "));
      const wanted = args.filter((arg) => arg.includes("=")).map((arg) => arg.replace("=", "_"));
      for (const [name, text] of Object.entries(archive)) {
        const isOrig = name.includes(".orig.");
        if (isOrig || wanted.some((one) => name.startsWith(one))) writeFiles(cwd, { [name]: text });
      }
      return completed();
    },
  };
}

/**
 * Unpacks what Debian packs: tarballs, often compressed with xz, which the tar of npm cannot read,
 * and binary packages. Only verified files come here, so the system's tar and dpkg-deb will do.
 */
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../../errors.js";
import { installHint } from "../../host/distribution.js";
import { type Completed, run } from "../../io/exec.js";
import { type AptOptions, environmentOf } from "./private-apt.js";

/** Unpacks a tarball into a directory that exists. */
export async function unpackTar(file: string, into: string, options: AptOptions): Promise<void> {
  const args = ["--extract", "--no-same-owner", "--file", file, "--directory", into];
  const completed = await run(
    { program: "tar", args, env: environmentOf(options) },
    { signal: options.signal },
  );
  if (completed.exitCode !== 0) throw notUnpacked(file, completed, "tar xz-utils");
}

/** Unpacks an upstream tarball so that its content, not its one top directory, is `into`. */
export async function unpackSource(file: string, into: string, options: AptOptions): Promise<void> {
  const temp = `${into}.unpacked`;
  await mkdir(temp, { recursive: true });
  try {
    await unpackTar(file, temp, options);
    const names = await readdir(temp, { withFileTypes: true });
    const [only] = names;
    const top = names.length === 1 && only?.isDirectory() ? join(temp, only.name) : temp;
    await rename(top, into);
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
}

/** Unpacks the files of a binary package into the directory `into`. */
export async function unpackDeb(file: string, into: string, options: AptOptions): Promise<void> {
  const args = ["--extract", file, into];
  const completed = await run(
    { program: "dpkg-deb", args, env: environmentOf(options) },
    { signal: options.signal },
  );
  if (completed.exitCode !== 0) throw notUnpacked(file, completed, "dpkg");
}

function notUnpacked(file: string, completed: Completed, packages: string): NffiError {
  const said = completed.startError ?? completed.stderr.trim();
  return new NffiError("extract-failed", `${file} cannot be unpacked: ${said}`, {
    hint: installHint([packages]),
  });
}

/** Puts one fetched component into bundle/: unpacked, patched by Debian, edited for OpenResty. */
import { copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, NffiError } from "../../errors.js";
import type { FetchedComponent, VerifiedFile } from "./choose-revision.js";
import { applySeries } from "./patch-series.js";
import type { AptOptions } from "./private-apt.js";
import { SOURCE_EDITS } from "./source-edits.js";
import { unpackDeb, unpackSource } from "./unpack.js";

export interface LaidOut {
  /** The directory in bundle/. */
  readonly directory: string;
  readonly debianPatches: readonly string[];
}

export interface LayOutOptions extends AptOptions {
  readonly bundle: string;
  /** The directory patches/debian-openresty. */
  readonly template: string;
}

export async function layOut(fetched: FetchedComponent, options: LayOutOptions): Promise<LaidOut> {
  const { component } = fetched.component;
  const directory = `${component}-${fetched.version}`;
  const path = join(options.bundle, directory);
  let debianPatches: string[] = [];

  if (fetched.files.kind === "source") {
    await unpackSource(fetched.files.orig.path, path, options);
    if (fetched.files.packaging) {
      debianPatches = await applySeries(fetched.files.packaging, path, options);
    }
  } else {
    await layOutLuaPackage(fetched.files.deb, path, options);
  }
  await editSource(component, path);
  return { directory, debianPatches };
}

/** Moves the Lua files of a binary package to their paths in the source. */
async function layOutLuaPackage(
  deb: VerifiedFile,
  path: string,
  options: LayOutOptions,
): Promise<void> {
  const temp = `${path}.unpacked`;
  try {
    await unpackDeb(deb.path, temp, options);
    await mkdir(path, { recursive: true });
    await rename(join(temp, "usr", "share", "lua", "5.1"), join(path, "lib"));
    await copyFile(join(options.template, "lua-library.mk"), join(path, "Makefile"));
  } catch (thrown) {
    if (errnoOf(thrown) !== "ENOENT") throw thrown;
    throw new NffiError("extract-failed", `${deb.name} does not hold the Lua files expected`, {
      cause: thrown,
    });
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
}

async function editSource(component: string, path: string): Promise<void> {
  for (const edit of SOURCE_EDITS.filter((candidate) => candidate.component === component)) {
    const file = join(path, edit.file);
    const text = await readFile(file, "utf8").catch(() => "");
    const edited = text.replace(edit.from, () => edit.to);
    if (edited !== text) {
      await writeFile(file, edited);
    } else if (edit.needed) {
      throw new NffiError("extract-failed", `${component}: ${edit.file} is not what nffi expects`, {
        hint: `it does not match ${edit.from}; this Debian suite is newer than this nffi`,
      });
    }
  }
}

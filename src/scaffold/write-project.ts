/**
 * Puts a project in its place: written whole into a temporary directory, then renamed. Into an
 * existing directory, file by file: it must be empty, or with `overwrite` other files there stay.
 * If one of them cannot be moved there, the directory is as before.
 */
import { randomBytes } from "node:crypto";
import {
  mkdir,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  rmdir,
  symlink,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errnoOf, messageOf, NffiError } from "../errors.js";
import { kindOf, makeFolders } from "../io/files.js";
import type { TemplateFile } from "./template.js";

/** A symbolic link in a project. */
export interface ProjectLink {
  /** Relative to the project. */
  readonly path: string;
  /** Absolute, or relative to the directory of the link. */
  readonly target: string;
  /** The real path of the target. */
  readonly real: string;
}

export interface ProjectContent {
  readonly files: readonly TemplateFile[];
  readonly link: ProjectLink;
}

export interface WriteOptions {
  readonly overwrite: boolean;
  readonly signal: AbortSignal;
}

export async function writeProject(
  folder: string,
  { files, link }: ProjectContent,
  { overwrite, signal }: WriteOptions,
): Promise<void> {
  await requirePlace(folder, { files, link }, overwrite);
  const isNew = (await kindOf(folder)) === "absent";
  const name = `.${basename(folder)}.${randomBytes(6).toString("hex")}.nffi-tmp`;
  // In a directory that exists: it may be a mount point, and its parent closed to this user.
  const temp = join(isNew ? dirname(folder) : folder, name);
  try {
    // Not recursive: where nothing can be created (/proc), Node's recursive mkdir never returns.
    await mkdir(temp);
    for (const { path, text } of files) {
      signal.throwIfAborted();
      await mkdir(dirname(join(temp, path)), { recursive: true });
      await writeFile(join(temp, path), text);
    }
    await mkdir(dirname(join(temp, link.path)), { recursive: true });
    await symlink(link.target, join(temp, link.path));
    if (isNew) await rename(temp, folder);
    else await moveInto(folder, temp, { files, link });
  } catch (thrown) {
    signal.throwIfAborted();
    throw cannotWrite(folder, thrown);
  } finally {
    await rm(temp, { recursive: true, force: true });
  }
}

/** Throws when the project cannot be put there; nothing was written then. */
export async function requirePlace(
  folder: string,
  { files, link }: ProjectContent,
  overwrite: boolean,
): Promise<void> {
  const kind = await kindOf(folder);
  if (kind !== "absent" && kind !== "directory") {
    throw new NffiError("scaffold-failed", `${folder} exists and is not a directory`, {
      hint: "choose another name, or remove it",
    });
  }
  if (await isFree(folder)) return;
  if (!overwrite) {
    throw new NffiError("scaffold-failed", `${folder} exists and is not empty`, {
      hint: "choose another name, or replace the template's files in it with --overwrite",
    });
  }
  await requireReplaceable(folder, files);
  await requireLinkPlace(folder, link);
}

/** The place of the link must be free, a link, or what the link would lead to. */
async function requireLinkPlace(folder: string, link: ProjectLink): Promise<void> {
  const place = join(folder, link.path);
  if ((await kindOf(place)) === "absent" || (await isLink(place))) return;
  if ((await realpath(place)) === link.real) return;
  throw new NffiError("scaffold-failed", `${place} exists and is not a link to ${link.real}`, {
    hint: `use the build there with --prefix ${place}, or move it away`,
  });
}

async function isLink(place: string): Promise<boolean> {
  return await readlink(place).then(
    () => true,
    () => false,
  );
}

/** Where a file shall go there must be a file or nothing, and directories above it. */
async function requireReplaceable(folder: string, files: readonly TemplateFile[]): Promise<void> {
  for (const { path } of files) {
    const parts = path.split("/");
    for (const [index] of parts.entries()) {
      const place = join(folder, ...parts.slice(0, index + 1));
      const kind = await kindOf(place);
      if (kind === "absent") break;
      const wanted = index === parts.length - 1 ? "file" : "directory";
      if (kind === wanted) continue;
      throw new NffiError("scaffold-failed", `${place} exists and is not a ${wanted}`, {
        hint: "remove it, or choose another name",
      });
    }
  }
}

async function moveInto(
  folder: string,
  temp: string,
  { files, link }: ProjectContent,
): Promise<void> {
  const undo: (() => Promise<void>)[] = [];
  try {
    for (const [index, { path }] of [...files, link].entries()) {
      const place = join(folder, path);
      const kind = await kindOf(place);
      // a build in the project needs no link to itself
      if (path === link.path && kind === "directory") continue;
      for (const made of await makeFolders(dirname(place))) undo.push(() => rmdir(made));
      const saved = join(temp, `.replaced-${index}`);
      if (kind !== "absent") {
        await rename(place, saved);
        undo.push(() => rename(saved, place));
      }
      await rename(join(temp, path), place);
      if (kind === "absent") undo.push(() => rm(place));
    }
  } catch (thrown) {
    for (const step of undo.reverse()) await step().catch(() => undefined);
    throw thrown;
  }
}

async function isFree(folder: string): Promise<boolean> {
  if ((await kindOf(folder)) === "absent") return true;
  return (await readdir(folder)).length === 0;
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "no space left on the device",
  ENOENT: "its parent directory does not exist",
  EDQUOT: "your quota of disk space is used up",
  ENOTEMPTY: "another program has just created it",
};

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: "make room there, or choose another directory",
  EDQUOT: "make room there, or choose another directory",
  ENOTEMPTY: "choose another name, or replace the template's files in it with --overwrite",
};

function cannotWrite(folder: string, thrown: unknown): NffiError {
  const errno = errnoOf(thrown) ?? "";
  const reason = REASONS[errno] ?? messageOf(thrown);
  return new NffiError("scaffold-failed", `cannot make ${folder}: ${reason}`, {
    hint: HINTS[errno] ?? "run this in a directory that you can write to",
    cause: thrown,
  });
}

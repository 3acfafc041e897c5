/**
 * Which files are modules, and what keeps one from being read: said before Node says it, which
 * knows less of whom it runs as.
 */

import { accessSync, constants, statSync } from "node:fs";
import { dirname, extname } from "node:path";

const JAVASCRIPT = [".js", ".mjs", ".cjs"];
export const TYPESCRIPT = [".ts", ".mts", ".cts"];
/** JSX always means that code is generated. */
const JSX = [".tsx", ".jsx"];
const ALL = [...JAVASCRIPT, ...TYPESCRIPT, ...JSX];

export function isJavaScript(path: string): boolean {
  return JAVASCRIPT.includes(extname(path));
}

export function isTypeScript(path: string): boolean {
  return TYPESCRIPT.includes(extname(path));
}

export function isJsx(path: string): boolean {
  return JSX.includes(extname(path));
}

/** Throws what is wrong with it, for people. */
export function checkFile(path: string): void {
  try {
    if (!statSync(path).isFile()) throw new Error(`${path} is not a file`);
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw fileError(path, error as NodeJS.ErrnoException);
  }
  if (!ALL.includes(extname(path))) {
    throw new Error(`${path} is neither JavaScript nor TypeScript by its name: ${ALL.join(", ")}`);
  }
}

function fileError(path: string, error: NodeJS.ErrnoException): Error {
  const { code } = error;
  if (code === "ENOENT" || code === "ENOTDIR") return new Error(`${path} not found`);
  if (code !== "EACCES") return error;
  const barrier = firstClosedFolder(path);
  return new Error(
    `user ${process.getuid?.()} may not read ${path}` +
      (barrier === undefined ? "" : `: it may not enter ${barrier}`) +
      " (EACCES)",
  );
}

function firstClosedFolder(path: string): string | undefined {
  const folders: string[] = [];
  for (let at = dirname(path); at !== dirname(at); at = dirname(at)) folders.unshift(at);
  return folders.find((folder) => {
    try {
      accessSync(folder, constants.X_OK);
      return false;
    } catch {
      return true;
    }
  });
}

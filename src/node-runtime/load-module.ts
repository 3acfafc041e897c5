/**
 * Loads the user's module: JavaScript of either kind, or TypeScript, by Node itself where it strips
 * types and by hooks of ours where it does not. What the module imports is resolved from its own
 * folder, as anywhere in Node.
 */

import { spawnSync } from "node:child_process";
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import Module from "node:module";
import { dirname, extname } from "node:path";
import { pathToFileURL } from "node:url";

export type Namespace = Record<string, unknown>;

const JAVASCRIPT = [".js", ".mjs", ".cjs"];
const TYPESCRIPT = [".ts", ".mts", ".cts"];

export async function loadModule(path: string): Promise<Namespace> {
  checkFile(path);
  if (TYPESCRIPT.includes(extname(path)) && !nodeStripsTypes()) await registerStripping();
  try {
    return (await import(pathToFileURL(path).href)) as Namespace;
  } catch (error) {
    // What the type stripper throws names its place already.
    if (!(error instanceof SyntaxError) || error.message.startsWith("/")) throw error;
    throw new SyntaxError(`${placeOf(error, path)}: ${error.message}`, { cause: error });
  }
}

/** FILE:LINE of a syntax error. Node keeps it from whoever catches one of an ES module. */
function placeOf(error: SyntaxError, path: string): string {
  const place = /^(?:file:\/\/)?(\/.*:\d+)\n/;
  const told = place.exec(error.stack ?? "");
  if (told?.[1] !== undefined) return told[1];
  // Another Node tells it, which only looks at this one file and runs nothing.
  const { stderr } = spawnSync(process.execPath, ["--check", path], { encoding: "utf8" });
  return place.exec(stderr ?? "")?.[1] ?? `${path}, or a module that it imports`;
}

/** Says what is wrong before Node does, which knows less of whom it runs as. */
function checkFile(path: string): void {
  try {
    if (!statSync(path).isFile()) throw new Error(`${path} is not a file`);
    accessSync(path, constants.R_OK);
  } catch (error) {
    throw fileError(path, error as NodeJS.ErrnoException);
  }
  if (![...JAVASCRIPT, ...TYPESCRIPT].includes(extname(path))) {
    throw new Error(
      `${path} is neither JavaScript nor TypeScript by its name: ` +
        [...JAVASCRIPT, ...TYPESCRIPT].join(", "),
    );
  }
}

function fileError(path: string, error: NodeJS.ErrnoException): Error {
  const { code } = error;
  if (code === "ENOENT" || code === "ENOTDIR") return new Error(`there is no file ${path}`);
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

/** False, "strip" or "transform" from Node 22.10 on. */
function nodeStripsTypes(): boolean {
  return Boolean((process.features as { typescript?: string | false }).typescript);
}

/** The parts of Node's module system that its types leave out. */
interface CommonJsLoader {
  _extensions: Record<string, (module: CommonJsModule, path: string) => void>;
}

interface CommonJsModule {
  _compile(code: string, path: string, format: string): void;
}

let registered: Promise<void> | undefined;

function registerStripping(): Promise<void> {
  registered ??= (async () => {
    // Not a named import: the whole program could not start on a Node that lacks it.
    if (Module.register === undefined) {
      throw new Error(`TypeScript needs Node 20.6 or newer, this is ${process.version}`);
    }
    const { formatOf, stripTypes } = await import("./strip-types.js");
    Module.register(new URL("./strip-hook.js", import.meta.url));
    const { _extensions } = Module as unknown as CommonJsLoader;

    for (const extension of TYPESCRIPT) {
      _extensions[extension] = (module, path) => {
        const code = stripTypes(readFileSync(path, "utf8"), path);
        module._compile(code, path, formatOf(path, code));
      };
    }
  })();
  return registered;
}

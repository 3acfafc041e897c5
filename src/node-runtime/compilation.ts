/**
 * TypeScript files as JavaScript, for this thread. A process that ends afterwards (compiler.ts)
 * compiles a module together with what it imports; a file that was not among these is compiled when
 * it is asked for.
 */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Compilation, type CompiledFile, type Problem, versionOf } from "./compiled-file.js";

type CompileFile = (path: string) => CompiledFile;

const files = new Map<string, CompiledFile>();
/** Where no process can be started. */
let compileHere: CompileFile | undefined;

/** The module and its imports; their files need not be compiled again in this thread. */
export async function compileModule(path: string): Promise<Compilation> {
  try {
    return keep(compile(path));
  } catch {
    await useThisThread();
    return keep(compile(path));
  }
}

/** Keeps what another thread has compiled. */
export function keep(compilation: Compilation): Compilation {
  for (const file of compilation.files) files.set(file.path, file);
  return compilation;
}

export function isKept(path: string): boolean {
  return files.has(path);
}

/** Compiles in this thread from now on, which then keeps the type stripper. */
export async function useThisThread(): Promise<void> {
  compileHere ??= (await import("./compile-file.js")).compileFile;
}

/** Throws a SyntaxError if the file has more than types to remove. */
export function compiledFile(path: string): CompiledFile {
  const known = files.get(path);
  if (known?.version === versionOf(path)) return known;
  const compilation = keep(compile(path));
  const compiled = compilation.files.find((file) => file.path === path);
  if (compiled === undefined) throw errorOf(compilation.problem);
  return compiled;
}

export function errorOf(problem: Problem | undefined): Error {
  const { isSyntaxError, message, stack } = problem ?? {
    isSyntaxError: false,
    message: "",
    stack: "",
  };
  const error = isSyntaxError ? new SyntaxError(message) : new Error(message);
  error.stack = stack;
  return error;
}

const COMPILER = fileURLToPath(new URL("./compiler.js", import.meta.url));
/** So that the compiler can parse ES modules and resolve what they import without running them. */
const FLAGS = ["--experimental-vm-modules", "--experimental-import-meta-resolve", "--no-warnings"];

/** Throws if no process can be started. */
function compile(path: string): Compilation {
  if (compileHere !== undefined) return compileAlone(path, compileHere);
  const { error, stdout, stderr, status } = spawnSync(
    process.execPath,
    [...FLAGS, COMPILER, path],
    {
      encoding: "utf8",
      maxBuffer: Infinity,
      stdio: ["ignore", "pipe", "pipe"],
      env: ownEnvironment(),
    },
  );
  if (error !== undefined) throw error;
  let compilation: Compilation;
  try {
    compilation = JSON.parse(stdout);
  } catch {
    throw new Error(`the type stripper ended with ${status}: ${stderr}`);
  }
  const { problem } = compilation;
  return problem === undefined
    ? compilation
    : { ...compilation, problem: located(problem, stderr) };
}

function compileAlone(path: string, compileFile: CompileFile): Compilation {
  try {
    return { files: [compileFile(path)], problem: undefined };
  } catch (thrown) {
    const { name, message, stack = message } = thrown as Error;
    return { files: [], problem: { isSyntaxError: name === "SyntaxError", message, stack } };
  }
}

/**
 * Options that the user sets for the module's process (a preload, a debugger) do not apply here.
 */
function ownEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...rest } = process.env;
  return rest;
}

/** With the place of a syntax error, which Node prints only if the error is not caught. */
function located(problem: Problem, stderr: string): Problem {
  if (!problem.isSyntaxError || problem.message.startsWith("/")) return problem;
  const place = /^(?:file:\/\/)?(\/.*:\d+)\n(.*)\n( *)\^/m.exec(stderr);
  if (place === null) return problem;
  const [, at, line = "", blanks = ""] = place;
  // To V8 a decorator is just an odd character.
  const isDecorator = line[blanks.length] === "@";
  const reason = isDecorator ? "a decorator is not supported in strip-only mode" : problem.message;
  const message = `${at}: ${reason}`;
  return { ...problem, message, stack: `SyntaxError: ${message}\n    ${line}\n    ${blanks}^` };
}

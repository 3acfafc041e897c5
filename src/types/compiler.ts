/**
 * The only import of TypeScript's compiler. It is the project's own compiler, so the types are read
 * as its editor and its build read them, and nffi need not contain one. Returns a checked module,
 * or the reason why there is none.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, relative, resolve } from "node:path";
import type * as TypeScript from "typescript";
import { messageOf, NffiError } from "../errors.js";

export type Compiler = typeof TypeScript;

/** A module without errors, and what is needed to ask for its types. */
export interface CheckedModule {
  readonly ts: Compiler;
  readonly program: TypeScript.Program;
  readonly checker: TypeScript.TypeChecker;
  readonly source: TypeScript.SourceFile;
}

const OLDEST = 5;
const MODULES = /\.[cm]?[jt]s$/;
const RUNTIME_PACKAGE = "@nffi/runtime";
const MAX_REPORTED = 5;

/** Options about output files; some of them require others. */
const FOR_EMITTING = new Set([
  ...["outDir", "outFile", "rootDir", "composite", "incremental", "tsBuildInfoFile"],
  ...["declaration", "declarationDir", "declarationMap", "emitDeclarationOnly"],
  ...["isolatedDeclarations"],
]);

/** `runtimeTypes`: the declarations of @nffi/runtime for a module that has none installed. */
export function checkModule(file: string, cwd: string, runtimeTypes: string): CheckedModule {
  const path = resolve(cwd, file);
  if (!MODULES.test(path) || /\.d\.[cm]?ts$/.test(path)) {
    throw new NffiError("usage", `${file} is not a TypeScript or JavaScript module`, {
      hint: "name the file whose exports are the handlers, such as src/handlers.ts",
    });
  }
  if (!existsSync(path)) throw new NffiError("input-missing", `${path}: file not found`);
  const ts = loadCompiler(path, cwd);
  const options = optionsFor(ts, path, cwd);
  const host = ts.createCompilerHost(options);
  resolveRuntimePackage(ts, host, options, runtimeTypes);
  const program = ts.createProgram({ rootNames: [path], options, host });
  const source = program.getSourceFile(path);
  if (!source) throw new NffiError("input-missing", `cannot read ${path}`);
  requireNoErrors(ts, program, source, cwd);
  return { ts, program, checker: program.getTypeChecker(), source };
}

/** Found from the module's directory as its own imports are, then from where the command runs. */
function loadCompiler(path: string, cwd: string): Compiler {
  for (const place of [path, join(cwd, "package.json")]) {
    const require = createRequire(place);
    let found: string;
    try {
      found = require.resolve("typescript");
    } catch {
      continue;
    }
    const ts = loadFrom(require, found);
    if (Number.parseInt(ts.versionMajorMinor, 10) >= OLDEST) return ts;
    throw new NffiError("toolchain-missing", `TypeScript ${ts.version} is too old: ${found}`, {
      hint: INSTALL,
    });
  }
  throw new NffiError("toolchain-missing", `TypeScript not found beside ${path}`, {
    hint: INSTALL,
  });
}

/** TypeScript 7 has no compiler API yet, so the newest one does not do. */
const INSTALL = "npm install --save-dev typescript@5";

function loadFrom(require: NodeJS.Require, found: string): Compiler {
  let ts: Compiler;
  try {
    ts = require(found);
    if (typeof ts.createProgram === "function") return ts;
  } catch (thrown) {
    throw new NffiError("toolchain-missing", `cannot load ${found}: ${messageOf(thrown)}`, {
      hint: INSTALL,
      cause: thrown,
    });
  }
  const title = `TypeScript ${ts.version} has no compiler API`;
  throw new NffiError("toolchain-missing", `${title}: ${found}`, { hint: INSTALL });
}

/**
 * The options of the tsconfig.json above the module; without one, options that match Node's
 * behaviour.
 */
function optionsFor(ts: Compiler, path: string, cwd: string): TypeScript.CompilerOptions {
  const file = ts.findConfigFile(dirname(path), ts.sys.fileExists);
  const found = file === undefined ? {} : readConfig(ts, file, cwd);
  const options = Object.fromEntries(
    Object.entries(found).filter(([name]) => !FOR_EMITTING.has(name)),
  );
  const defaults: TypeScript.CompilerOptions =
    file === undefined
      ? {
          target: ts.ScriptTarget.ES2022,
          module: ts.ModuleKind.NodeNext,
          moduleResolution: ts.ModuleResolutionKind.NodeNext,
          strict: true,
          typeRoots: typeRoots(dirname(path)),
        }
      : {};
  return {
    ...defaults,
    ...options,
    allowJs: true,
    allowImportingTsExtensions: true,
    noEmit: true,
    skipLibCheck: true,
    // Unused code does not affect the types.
    noUnusedLocals: false,
    noUnusedParameters: false,
  };
}

function typeRoots(folder: string): string[] {
  const roots: string[] = [];
  for (let at = folder; ; at = dirname(at)) {
    roots.push(join(at, "node_modules/@types"));
    if (at === dirname(at)) return roots;
  }
}

function readConfig(ts: Compiler, file: string, cwd: string): TypeScript.CompilerOptions {
  const { config, error } = ts.readConfigFile(file, ts.sys.readFile);
  const parsed = error ? undefined : ts.parseJsonConfigFileContent(config, ts.sys, dirname(file));
  // That no file is included is no matter here: the module is named.
  const errors = error ? [error] : (parsed?.errors ?? []).filter(({ code }) => code !== 18003);
  if (errors.length > 0) {
    throw new NffiError("types-failed", `cannot read ${file}`, {
      hint: linesOf(ts, errors, cwd).join("\n"),
    });
  }
  return parsed?.options ?? {};
}

/** The types of handlers are shipped with nffi: a single file needs no npm project around it. */
function resolveRuntimePackage(
  ts: Compiler,
  host: TypeScript.CompilerHost,
  options: TypeScript.CompilerOptions,
  runtimeTypes: string,
): void {
  const cache = ts.createModuleResolutionCache(host.getCurrentDirectory(), (name) => name, options);
  host.resolveModuleNameLiterals = (literals, containingFile, redirected, compilerOptions, file) =>
    literals.map((literal) => {
      const found = ts.resolveModuleName(
        literal.text,
        containingFile,
        compilerOptions,
        host,
        cache,
        redirected,
        ts.getModeForUsageLocation(file, literal, compilerOptions),
      );
      if (found.resolvedModule || literal.text !== RUNTIME_PACKAGE) return found;
      return {
        resolvedModule: {
          resolvedFileName: runtimeTypes,
          extension: ts.Extension.Dts,
          isExternalLibraryImport: true,
        },
      };
    });
}

/** The types of code that does not compile are unreliable. */
function requireNoErrors(
  ts: Compiler,
  program: TypeScript.Program,
  source: TypeScript.SourceFile,
  cwd: string,
): void {
  const found = ts
    .getPreEmitDiagnostics(program, source)
    .filter(({ category }) => category === ts.DiagnosticCategory.Error);
  if (found.length === 0) return;
  const lines = linesOf(ts, found.slice(0, MAX_REPORTED), cwd);
  if (found.length > MAX_REPORTED) lines.push(`and ${found.length - MAX_REPORTED} more`);
  const lacksNode = found.some(({ code }) => code === 2591 || code === 2580);
  if (lacksNode) lines.push("npm install --save-dev @types/node");
  throw new NffiError("types-failed", `${basename(source.fileName)} has errors`, {
    hint: lines.join("\n"),
  });
}

function linesOf(
  ts: Compiler,
  diagnostics: readonly TypeScript.Diagnostic[],
  cwd: string,
): string[] {
  return diagnostics.map(({ file, start, messageText, code }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, "\n");
    if (!file || start === undefined) return `TS${code}: ${text}`;
    const { line, character } = file.getLineAndCharacterOfPosition(start);
    return `${relative(cwd, file.fileName)}:${line + 1}:${character + 1}: TS${code}: ${text}`;
  });
}

/**
 * From a module of handlers to its stub: checks the module, translates its types, and writes the
 * file, or compares it with the one that is there.
 */
import { readFile } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { messageOf, NffiError } from "../errors.js";
import { kindOf, writeFileWhole } from "../io/files.js";
import { checkModule } from "./compiler.js";
import { methodsOf } from "./exports.js";
import { mergeTwins } from "./merge.js";
import { STUB_MARK, textOfStub } from "./stub.js";
import { Translation } from "./translation.js";

export interface TypesRequest {
  /** The module, relative to `cwd`. */
  readonly module: string;
  /** The stub, relative to `cwd`; without it NAME.d.lua beside the module. */
  readonly output: string | undefined;
  /** The class; without it made of the module's name. */
  readonly className: string | undefined;
  readonly cwd: string;
  /** The declarations of @nffi/runtime. */
  readonly runtimeTypes: string;
}

export interface TypesStub {
  readonly file: string;
  readonly className: string;
  readonly methods: readonly string[];
  readonly streams: readonly string[];
  readonly text: string;
  /** The existing file is the same. */
  readonly isCurrent: boolean;
}

const CLASS = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/;
const MAX_REPORTED = 10;

export async function makeStub(request: TypesRequest): Promise<TypesStub> {
  const { module, cwd } = request;
  const className = request.className ?? classNameOf(module);
  if (!CLASS.test(className)) {
    throw new NffiError("usage", `"${className}" cannot be the name of a class`, {
      hint: "name one with --name: letters, digits and _, such as Handlers",
    });
  }
  const checked = checkModule(module, cwd, request.runtimeTypes);
  const translation = new Translation(checked, className);
  const methods = methodsOf(checked, translation);
  requireNoProblems(module, translation);
  if (methods.named.length === 0 && !methods.unnamed) {
    throw new NffiError("types-failed", `${module} exports no function`, {
      hint: "a runtime's methods are the functions that its module exports",
    });
  }
  const file = resolve(cwd, request.output ?? defaultOutput(module));
  const text = textOfStub({
    className,
    module: relative(dirname(file), resolve(cwd, module)),
    methods,
    declarations: mergeTwins(translation.declarations, translation.twins),
  });
  return {
    file,
    className,
    methods: methods.named.map(({ name }) => name),
    streams: methods.named.filter((one) => one.signatures[0].chunk).map(({ name }) => name),
    text,
    isCurrent: (await readFile(file, "utf8").catch(() => undefined)) === text,
  };
}

/** A stub that has not changed is left alone, so that no editor and no watcher reads it again. */
export async function writeStub(stub: TypesStub): Promise<void> {
  if (stub.isCurrent) return;
  const kind = await kindOf(stub.file, { follow: true });
  if (kind === "file") await requireStub(stub.file);
  try {
    if (kind === "directory") throw new NffiError("usage", "it is a directory");
    await writeFileWhole(stub.file, stub.text);
  } catch (thrown) {
    throw new NffiError("types-failed", `cannot write ${stub.file}: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}

/** A module or a file of the user must not be lost by a wrong --output. */
async function requireStub(file: string): Promise<void> {
  const text = await readFile(file, "utf8").catch(() => "");
  if (text.trim() === "" || text.includes(STUB_MARK)) return;
  throw new NffiError("foreign-files", `${file} exists and was not made by nffi types`, {
    hint: "remove it, or name another file with --output",
  });
}

function requireNoProblems(module: string, { problems }: Translation): void {
  if (problems.length === 0) return;
  const unique = [...new Set(problems.map(({ place, reason }) => `${place}: ${reason}`))];
  const lines = unique.slice(0, MAX_REPORTED);
  if (unique.length > MAX_REPORTED) lines.push(`and ${unique.length - MAX_REPORTED} more`);
  throw new NffiError("types-failed", `${module} uses types that JSON cannot represent`, {
    hint: lines.join("\n"),
  });
}

function classNameOf(module: string): string {
  const words =
    basename(module)
      .replace(/\.[cm]?[jt]s$/, "")
      .match(/[A-Za-z0-9]+/g) ?? [];
  return words.map((one) => one.charAt(0).toUpperCase() + one.slice(1)).join("");
}

function defaultOutput(module: string): string {
  return join(dirname(module), `${basename(module).replace(/\.[cm]?[jt]s$/, "")}.d.lua`);
}

/**
 * Reads options from the environment (NFFI_WORK_DIR for --work-dir) and from nffi.config.json, in
 * this directory or one above it.
 */
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Command, Option } from "commander";
import { errnoOf, messageOf, NffiError } from "../errors.js";
import { placeOf } from "../host/precedence.js";
import type { ProductWish } from "../pipeline/product.js";
import type { CommandContext } from "./context.js";

export const CONFIG_FILE = "nffi.config.json";

/** Relative paths in the file are resolved relative to its directory. */
const PATHS = [
  ...["prefix", "workDir", "cafile", "keyring", "patch", "addModule", "addDynamicModule"],
  ...["withPcre", "withZlib", "withOpenssl"],
];
/** Lists; in the environment their parts are separated like this. */
const SEPARATORS: Readonly<Record<string, RegExp>> = {
  mirror: /[\s,]+/,
  patch: /:/,
  addModule: /:/,
  addDynamicModule: /:/,
};
/** Only ever meant for one command line, never for all builds of a project. */
const NEVER = ["dryRun", "insecureSkipVerification", "force"];

const HELP = `
Each option is taken from the command line, else from the environment (NFFI_CAFILE for
--cafile), else from ${CONFIG_FILE} here or in a directory above ("cafile": "..."), else
it has its default.`;

const HELP_ON_CONFIGURE = `"configure" in that file lists options for configure,
which come before those after --.`;

/** Other keys of the file besides options; `configure` has the arguments that could follow `--`. */
export interface Settings {
  readonly configure: readonly string[];
}

/** Describes the precedence in --help. Call `applySettings` first in the action. */
export function addSettingsHelp(
  command: Command,
  { configures }: { readonly configures: boolean },
): Command {
  return command.addHelpText("after", configures ? `${HELP} ${HELP_ON_CONFIGURE}` : HELP);
}

/**
 * Sets the options that are not on the command line from other places. `whole` has all options that
 * the file may contain; `command` may accept only some of them.
 */
export async function applySettings(
  command: Command,
  context: CommandContext,
  whole: Command = command,
): Promise<Settings> {
  const config = await readConfig(context.cwd);
  const options = settable(command);
  requireKnown(config, settable(whole));
  for (const option of options) {
    const name = option.attributeName();
    const variable = variableOf(option);
    const fromEnvironment = context.env[variable] ?? "";
    const given = config?.values[name];
    const typed = command.getOptionValueSource(name) === "cli" ? "given" : undefined;
    const place = placeOf({ option: typed, variable: fromEnvironment, file: given });
    if (place === "variable") {
      const parts = SEPARATORS[name] ? fromEnvironment.split(SEPARATORS[name]) : [fromEnvironment];
      const value = valueFrom(
        option,
        parts.filter((part) => part !== ""),
        variable,
      );
      command.setOptionValueWithSource(name, value, "env");
    } else if (config && place === "file") {
      const where = `"${name}" in ${config.file}`;
      const value = valueFrom(option, textsOf(option, given, config.file, where), where);
      command.setOptionValueWithSource(name, value, "config");
    }
  }
  return { configure: configureOf(config) };
}

/** Returns how the product of a command is named. `prefix`: on its command line. */
export async function productWishOf(
  prefix: string | undefined,
  { env, cwd }: CommandContext,
): Promise<ProductWish> {
  return { prefix, configured: await configuredPrefix(cwd), env, cwd };
}

async function configuredPrefix(cwd: string): Promise<string | undefined> {
  const config = await readConfig(cwd);
  const prefix = config?.values.prefix;
  if (!config || prefix === undefined) return undefined;
  if (typeof prefix === "string") return resolve(dirname(config.file), prefix);
  throw new NffiError("usage", `"prefix" in ${config.file} must be a path in quotes`);
}

function settable(command: Command): Option[] {
  return command.options.filter((option) => !NEVER.includes(option.attributeName()));
}

/** NFFI_WORK_DIR for --work-dir. */
function variableOf(option: Option): string {
  return `NFFI_${option.name().replaceAll("-", "_").toUpperCase()}`;
}

interface Config {
  readonly file: string;
  readonly values: Readonly<Record<string, unknown>>;
}

async function readConfig(cwd: string): Promise<Config | undefined> {
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const file = join(folder, CONFIG_FILE);
    try {
      const values = JSON.parse(await readFile(file, "utf8"));
      if (typeof values === "object" && values !== null && !Array.isArray(values)) {
        return { file, values };
      }
      throw new NffiError("usage", `${file} is not a JSON object`);
    } catch (thrown) {
      if (thrown instanceof NffiError) throw thrown;
      const isAbsent = ["ENOENT", "EACCES", "ENOTDIR"].includes(errnoOf(thrown) ?? "");
      if (!isAbsent) throw new NffiError("usage", `${file}: ${messageOf(thrown)}`);
    }
    if (folder === dirname(folder)) return undefined;
  }
}

function requireKnown(config: Config | undefined, options: readonly Option[]): void {
  const known = [...options.map((option) => option.attributeName()), "configure", "$schema"];
  const unknown = Object.keys(config?.values ?? {}).find((key) => !known.includes(key));
  if (!config || unknown === undefined) return;
  throw new NffiError("usage", `${config.file}: unknown option "${unknown}"`, {
    hint: `it may hold: ${known.slice(0, -1).join(", ")}`,
  });
}

/** The text that would stand on the command line, several for a list. */
function textsOf(option: Option, given: unknown, file: string, where: string): string[] {
  const name = option.attributeName();
  const isList = Array.isArray(given) && SEPARATORS[name] !== undefined;
  return (isList ? given : [given]).map((one) => {
    const isPathOption = PATHS.includes(name);
    const [fits, kind] = option.isBoolean()
      ? [typeof one === "boolean", "true or false"]
      : isPathOption
        ? [typeof one === "string", "a path in quotes"]
        : [/string|number/.test(typeof one), "text or a number"];
    if (!fits) throw new NffiError("usage", `${where} must be ${kind}`);
    if (one === "") throw new NffiError("usage", `${where} is empty`);
    const isPath = isPathOption || (name === "source" && isPathOfSource(String(one)));
    return isPath ? resolve(dirname(file), String(one)) : String(one);
  });
}

/** Neither a word that nffi knows nor a URL. */
function isPathOfSource(text: string): boolean {
  return !/^(auto|official|debian(:.*)?|[a-z]+:\/\/.*)$/i.test(text);
}

function valueFrom(option: Option, texts: readonly string[], where: string): unknown {
  if (option.isBoolean()) return !["0", "false", "no"].includes(texts[0] ?? "");
  let value: unknown;
  for (const text of texts) {
    try {
      value = option.parseArg ? option.parseArg(text, value as string) : text;
    } catch (thrown) {
      throw new NffiError("usage", `${where}: "${text}" is invalid. ${messageOf(thrown)}`);
    }
  }
  return value;
}

function configureOf(config: Config | undefined): string[] {
  const given = config?.values.configure ?? [];
  const isList = Array.isArray(given) && given.every((one) => typeof one === "string");
  if (isList) return given;
  throw new NffiError("usage", `"configure" in ${config?.file} must be a list of texts`);
}

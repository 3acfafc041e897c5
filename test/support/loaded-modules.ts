// The modules that a command of the CLI loads: loading is nearly all the time of a command that
// does little, and a list of modules, unlike a time, is the same on every machine.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type CliOptions, runCli } from "./cli.js";
import { temporaryFolder } from "./temporary.js";

const HOOKS = `
import { appendFileSync } from "node:fs";
export async function load(url, context, next) {
  appendFileSync(process.env.NFFI_TEST_LOADED, url + "\\n");
  return next(url, context);
}`;
const PRELOAD = `
import { register } from "node:module";
register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(HOOKS)}`)});`;

export interface LoadedModules {
  /** Our own files, below dist/. */
  readonly own: readonly string[];
  /** The names of npm packages. */
  readonly packages: readonly string[];
}

export async function modulesLoadedBy(
  args: readonly string[],
  options: CliOptions = {},
): Promise<LoadedModules> {
  const file = join(temporaryFolder(), "loaded");
  const preload = `data:text/javascript,${encodeURIComponent(PRELOAD)}`;
  const env = { NODE_OPTIONS: `--import=${preload}`, NFFI_TEST_LOADED: file };
  const ran = await runCli(args, { ...options, env: { ...options.env, ...env } });
  if (ran.exitCode !== 0 || !existsSync(file)) throw new Error(`nffi ${args}: ${ran.stderr}`);
  const urls = readFileSync(file, "utf8").trimEnd().split("\n");
  const named = (pattern: RegExp) =>
    urls.flatMap((url) => pattern.exec(decodeURI(url))?.slice(1) ?? []);
  return {
    own: [...new Set(named(/\/dist\/((?!.*node_modules).*)\.js$/))],
    packages: [...new Set(named(/.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/))].sort(),
  };
}

/** How the user has called this program, for hints that can be copied into the same shell. */
import { readFileSync, realpathSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { shellWord } from "../io/shell-words.js";
import type { Environment } from "./environment.js";

export interface Invocation {
  readonly env: Environment;
  readonly cwd: string;
  /** process.argv[1] */
  readonly script: string;
  /** The directory of this package. */
  readonly root: string;
}

/**
 * `nffi` where the user's PATH has it, else what works as well: npx with its package, or a path.
 */
export function ownCommand({ env, cwd, script, root }: Invocation): string {
  const own = join(root, "bin/nffi.mjs");
  if (isInUsersPath(env, own)) return "nffi";
  const archive = archiveOfNpx(root);
  if (archive !== undefined) return `npx --yes --package ${shellWord(archive)} nffi`;
  const shown = script.startsWith(`${cwd}/`) ? script.slice(cwd.length + 1) : script;
  if (!script.endsWith(".mjs")) return shellWord(shown.includes("/") ? shown : `./${shown}`);
  return `node ${shellWord(shown)}`;
}

/** npx and `npm run` put directories into PATH that the user's shell does not have. */
function isInUsersPath(env: Environment, own: string): boolean {
  const wanted = realPathOf(own) ?? own;
  return (env.PATH ?? "")
    .split(delimiter)
    .filter((folder) => folder !== "" && !folder.includes("node_modules"))
    .some((folder) => realPathOf(join(folder, "nffi")) === wanted);
}

/** npx installs what --package names into a directory of its cache and records its origin there. */
function archiveOfNpx(root: string): string | undefined {
  const folder = resolve(root, "../..");
  if (!/\/_npx\/[^/]+$/.test(folder)) return undefined;
  try {
    const { dependencies } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const path = /^file:(.+)$/.exec(dependencies?.nffi ?? "")?.[1];
    return path === undefined ? undefined : resolve(folder, path);
  } catch {
    return undefined;
  }
}

function realPathOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** Replaces commands in backticks, such as `nffi build`, with commands that the user can run. */
export function withOwnCommand(text: string, command: string): string {
  return text.replaceAll("`nffi ", () => `\`${command} `);
}

/**
 * Reads the configuration that an nginx runs with: `nginx -T` where this user may run it, else the
 * files themselves. It only searches for single directives and interprets nothing.
 */
import { readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { type Environment, nginxEnvironment } from "../host/environment.js";
import { run } from "../io/exec.js";
import type { NginxProgram } from "./nginx-program.js";

export interface ConfFile {
  readonly path: string;
  readonly text: string;
}

export interface Directive {
  readonly file: string;
  /** The arguments, without quotes. */
  readonly words: readonly string[];
}

export interface NginxConf {
  readonly files: readonly ConfFile[];
  /** The dynamic modules that it loads, by absolute path. */
  readonly modules: readonly string[];
  /** Why `nginx -T` was not used. */
  readonly unread: string | undefined;
}

export interface ReadContext {
  readonly env: Environment;
  readonly signal: AbortSignal;
}

type Started = Pick<NginxProgram, "path" | "prefix" | "conf">;

const PATIENCE_MS = 60_000;

export async function readConf(nginx: Started, context: ReadContext): Promise<NginxConf> {
  const dumped = await dump(nginx, context);
  const files =
    typeof dumped === "string" ? await filesOf(nginx.conf, dirname(nginx.conf), new Set()) : dumped;
  const modules = directivesOf(files, "load_module").map(({ words }) =>
    resolve(nginx.prefix, words[0] ?? ""),
  );
  return {
    files,
    modules: [...new Set(modules)],
    unread: typeof dumped === "string" ? dumped : undefined,
  };
}

/** Every occurrence, in the order of the files. */
export function directivesOf(files: readonly ConfFile[], name: string): Directive[] {
  const pattern = new RegExp(
    `(?<=^|[;{}])\\s*${name}((?:\\s+(?:"(?:[^"\\\\]|\\\\.)*"|'[^']*'|[^\\s;{}"'#]+))+)\\s*;`,
    "gm",
  );
  return files.flatMap(({ path, text }) =>
    [...withoutComments(text).matchAll(pattern)].map(([, list = ""]) => ({
      file: path,
      words: [...list.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|(\S+)/g)].map(
        ([, double, single, plain]) => double ?? single ?? plain ?? "",
      ),
    })),
  );
}

function withoutComments(text: string): string {
  return text.replace(/(^|\s)#.*$/gm, "$1");
}

/** The files that `nginx -T` prints, or why it failed. */
async function dump(nginx: Started, context: ReadContext): Promise<ConfFile[] | string> {
  const done = await run(
    {
      program: nginx.path,
      args: ["-T", "-q", "-c", nginx.conf],
      cwd: "/",
      env: nginxEnvironment(context.env),
    },
    { signal: context.signal, timeoutMs: PATIENCE_MS },
  );
  if (done.exitCode !== 0) {
    return lastError(done.stderr) ?? `nginx -T: exit code ${done.exitCode ?? done.signal}`;
  }
  return done.stdout
    .split(/^# configuration file (?=.*:$)/m)
    .slice(1)
    .map((part) => {
      const end = part.indexOf("\n");
      return { path: part.slice(0, end).replace(/:$/, ""), text: part.slice(end + 1) };
    });
}

/** The reason in the output of an nginx that did not start. */
export function lastError(output: string): string | undefined {
  const lines = output.split("\n").filter((line) => /\[(?:emerg|alert|crit|error)\]/.test(line));
  return (lines.findLast((line) => line.includes("[emerg]")) ?? lines.at(-1))?.replace(
    /^(?:nginx: |[\d/]+ [\d:]+ )/,
    "",
  );
}

/** The file and what it includes; files that cannot be read are left out. */
async function filesOf(path: string, root: string, seen: Set<string>): Promise<ConfFile[]> {
  if (seen.has(path)) return [];
  seen.add(path);
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return [];
  const file = { path, text };
  const files: ConfFile[] = [file];
  for (const { words } of directivesOf([file], "include")) {
    for (const included of await matching(resolve(root, words[0] ?? ""))) {
      files.push(...(await filesOf(included, root, seen)));
    }
  }
  return files;
}

/** The files that a pattern of `include` names; wildcards in the last part are known. */
async function matching(pattern: string): Promise<string[]> {
  const name = basename(pattern);
  if (!/[*?[]/.test(name)) return [pattern];
  const source = name
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  const wanted = new RegExp(`^${source}$`);
  const names = await readdir(dirname(pattern)).catch(() => []);
  return names
    .filter((one) => wanted.test(one) && !one.startsWith("."))
    .sort()
    .map((one) => join(dirname(pattern), one));
}

/** The part of a checkup about the languages that runtimes are written in; a build needs none. */
import type { Environment } from "../environment.js";
import { describeJdk, findJdk, isJdk } from "../jdk.js";
import { findProgram } from "../tools.js";
import { type Finding, finding } from "./finding.js";
import { firstLineOf } from "./toolchain.js";

interface Language {
  readonly name: string;
  readonly program: string;
  readonly versionArgs: readonly string[];
  readonly debian: string;
}

const LANGUAGES: readonly Language[] = [
  { name: "CPython", program: "python3", versionArgs: ["--version"], debian: "python3" },
  { name: "Go", program: "go", versionArgs: ["version"], debian: "golang-go" },
  { name: "Rust", program: "cargo", versionArgs: ["--version"], debian: "cargo" },
];

export async function checkLanguages(env: Environment): Promise<Finding[]> {
  const found = await Promise.all(LANGUAGES.map((language) => checkLanguage(language, env)));
  return [await checkNode(env), await checkJdk(env), ...found];
}

async function checkLanguage(language: Language, env: Environment): Promise<Finding> {
  const { name, program, versionArgs, debian } = language;
  const path = await findProgram(program, env);
  if (!path) return finding("absent", name, `no ${program}; only runtimes in it need it`, debian);
  const version = await firstLineOf(path, versionArgs, env);
  const shared = name === "CPython" ? await sharedLibraryOf(path, env) : "";
  const age = name === "Rust" ? remarkOnCargo(version) : "";
  return finding("ok", name, `${path}, ${version}${shared}${age}`);
}

/** `version`: "cargo 1.65.0". Our crate takes Rust 1.63, the newest serde and tokio do not. */
export function remarkOnCargo(version: string): string {
  const minor = Number(/^cargo 1\.(\d+)/.exec(version)?.[1] ?? Number.POSITIVE_INFINITY);
  return minor < 85 ? ", which is too old for projects of `nffi new-runtime` (1.85)" : "";
}

/** A process runs any Python; the worker loads its shared library. */
async function sharedLibraryOf(path: string, env: Environment): Promise<string> {
  return (await firstLineOf(path, ["-c", FIND_LIBRARY], env)) === "True"
    ? ", with its shared library"
    : ", without a shared library (libpython3-dev): in a process, not in the worker";
}

const FIND_LIBRARY = [
  "import os, sys, sysconfig as s",
  "name = 'libpython%d.%d.so.1.0' % sys.version_info[:2]",
  "folders = [s.get_config_var('LIBDIR'), s.get_config_var('LIBPL')]",
  "folders.append(os.path.join(folders[0] or '', s.get_config_var('MULTIARCH') or ''))",
  "print(any(f and os.path.exists(os.path.join(f, name)) for f in folders))",
].join("\n");

/** Java is a part of the product where there is a JDK when it is built. */
async function checkJdk(env: Environment): Promise<Finding> {
  const jdk = await findJdk(env);
  if (isJdk(jdk)) return finding("ok", "JDK", describeJdk(jdk));
  const found = `${jdk.reason}; a product is then built without Java`;
  return finding("absent", "JDK", found, "default-jdk-headless");
}

/** The places a worker may run Node from: homes are often closed to the worker's user. */
async function checkNode(env: Environment): Promise<Finding> {
  const own = `${process.execPath}, ${process.version}`;
  const inHome = /^\/(root|home\/[^/]+)\//.test(process.execPath);
  if (!inHome) return finding("ok", "Node", own);
  const shared = await findProgram("node", { ...env, PATH: "/usr/local/bin:/usr/bin:/bin" });
  if (shared) return finding("ok", "Node", `${own}; for workers of other users: ${shared}`);
  return finding(
    "warning",
    "Node",
    `${own}: it is in a home directory, where nginx's workers may not be able to run it`,
  );
}

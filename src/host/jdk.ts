/** The JDK that the Java part of a product is built with, if there is one. */
import { readFile, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { exists } from "../io/files.js";
import type { Environment } from "./environment.js";
import { findProgram } from "./tools.js";

export interface Jdk {
  readonly home: string;
  /** As its file `release` has it: 17.0.15. */
  readonly version: string;
}

/** Why a product has no Java, in words that follow "built without Java: ". */
export interface NoJdk {
  readonly reason: string;
}

/** The first Java whose `javac` compiles for what the SDK is written in. */
const OLDEST = 11;

/** Its files that the build uses, and the library that the worker opens. */
const NEEDED = ["bin/javac", "bin/jar", "include/jni.h", "include/linux/jni_md.h"];
const MACHINE = "lib/server/libjvm.so";

/** The JDK in JAVA_HOME, otherwise the one of `javac` in PATH. */
export async function findJdk(env: Environment): Promise<Jdk | NoJdk> {
  const home = await findHome(env);
  if (home === undefined)
    return { reason: "no JDK: javac not found in PATH, and JAVA_HOME is not set" };
  for (const file of [...NEEDED, MACHINE]) {
    if (!(await exists(join(home, file)))) return { reason: `${home} is no JDK: no ${file}` };
  }
  const version = await versionOf(home);
  if (version === undefined) return { reason: `${home}/release contains no version` };
  if (Number.parseInt(version, 10) < OLDEST) {
    return { reason: `${home} is Java ${version}, expected ${OLDEST} or newer` };
  }
  return { home, version };
}

export function isJdk(found: Jdk | NoJdk): found is Jdk {
  return "home" in found;
}

/** In one line, for a checkup and as an input of a build. */
export function describeJdk(found: Jdk | NoJdk): string {
  return isJdk(found) ? `${found.version}, ${found.home}` : found.reason;
}

async function findHome(env: Environment): Promise<string | undefined> {
  const named = env.JAVA_HOME?.trim();
  if (named) return realpath(named).catch(() => named);
  const javac = await findProgram("javac", env);
  if (javac === undefined) return undefined;
  // Debian's is a link over /etc/alternatives
  return dirname(dirname(await realpath(javac)));
}

async function versionOf(home: string): Promise<string | undefined> {
  const release = await readFile(join(home, "release"), "utf8").catch(() => "");
  return /^JAVA_VERSION="([^"]+)"$/m.exec(release)?.[1];
}

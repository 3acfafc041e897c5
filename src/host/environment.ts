/**
 * The only door to the environment: the variables that nffi reads, and the directories they name.
 */
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { NffiError } from "../errors.js";

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The environment of this process. Everything else takes an `Environment`, so tests bring theirs.
 */
export const environment: Environment = process.env;

export function isContinuousIntegration(env: Environment): boolean {
  return env.CI !== undefined && env.CI !== "" && env.CI !== "false" && env.CI !== "0";
}

/**
 * The time that stands for the present in what is built, in seconds since 1970, where the user has
 * set SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/).
 */
export function sourceDate(env: Environment): number | undefined {
  const given = env.SOURCE_DATE_EPOCH;
  if (given === undefined || given === "") return undefined;
  if (/^\d{1,11}$/.test(given)) return Number(given);
  throw new NffiError("usage", `SOURCE_DATE_EPOCH is "${given}"`, {
    hint: "it takes a number of seconds since 1970, such as the output of `git log -1 --pretty=%ct`",
  });
}

/** Variables that a build passes on; docs/build.md lists them. */
const PASSED_ON = [
  ...["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"],
  ...["http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"],
  ...["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"],
  ...["CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "SOURCE_DATE_EPOCH", "JAVA_HOME"],
];
const PASSED_ON_PREFIX = "CCACHE_";

/** Messages that can be searched for the first error, and names that sort the same everywhere. */
const LOCALE = { LC_ALL: "C.UTF-8" };

/**
 * The environment of every program that a build starts. Anything else of the user's could change
 * the product or break the build unseen: CDPATH, MAKEFLAGS, GREP_OPTIONS, BASH_ENV, LD_PRELOAD.
 */
export function buildEnvironment(env: Environment): Record<string, string> {
  const passed = definedOf(env).filter(
    ([name]) => PASSED_ON.includes(name) || name.startsWith(PASSED_ON_PREFIX),
  );
  return { ...Object.fromEntries(passed), ...LOCALE };
}

/**
 * The environment of an nginx of the user that nffi starts: as `buildEnvironment`, and what its
 * loader and LuaJIT read, since the user's own nginx may need them.
 */
export function nginxEnvironment(env: Environment): Record<string, string> {
  const read = definedOf(env).filter(([name]) =>
    ["LD_LIBRARY_PATH", "LUA_PATH", "LUA_CPATH"].includes(name),
  );
  return { ...buildEnvironment(env), ...Object.fromEntries(read) };
}

/** All of an environment, for a program that the user runs through nffi. */
export function wholeEnvironment(env: Environment): Record<string, string> {
  return Object.fromEntries(definedOf(env));
}

function definedOf(env: Environment): [string, string][] {
  return Object.entries(env).filter((one): one is [string, string] => one[1] !== undefined);
}

/** Where downloads and build directories live. */
export function cacheDir(env: Environment): string {
  return join(xdg(env.XDG_CACHE_HOME, env, ".cache"), "nffi");
}

/** Where nffi remembers things, such as the last build. */
export function stateDir(env: Environment): string {
  return join(xdg(env.XDG_STATE_HOME, env, join(".local", "state")), "nffi");
}

/** A user without an entry in the user database, as in some containers, has no home. */
function home(env: Environment): string {
  if (env.HOME) return env.HOME;
  try {
    return homedir();
  } catch {
    return join(tmpdir(), `nffi-home-${process.getuid?.()}`);
  }
}

function xdg(value: string | undefined, env: Environment, fallback: string): string {
  // The XDG specification requires that relative values are ignored.
  return value?.startsWith("/") ? value : join(home(env), fallback);
}

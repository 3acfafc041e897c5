/** The only door to the environment: the variables that nffi reads, and the folders they lead to. */
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { NffiError } from "../errors.js";

export type Environment = Readonly<Record<string, string | undefined>>;

/** The environment of this process. Everything else takes an `Environment`, so tests bring theirs. */
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

/** Where downloads and work folders live. */
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
  // The XDG specification tells to ignore relative values.
  return value?.startsWith("/") ? value : join(home(env), fallback);
}

// Chooses what to mutate: files that differ from a git base, and a seeded sample of their mutants.
import { execFileSync } from "node:child_process";

const git = (...args) =>
  execFileSync("git", args, { encoding: "utf8" }).split("\n").filter(Boolean);

/** Tracked files below `folders`, with `base` only files that have changed since then. */
export function filesToMutate(folders, endings, base) {
  const files = base
    ? git("diff", "--name-only", "--diff-filter=d", base, "--", ...folders)
    : git("ls-files", "--", ...folders);
  return files.filter((file) => endings.some((ending) => file.endsWith(ending)));
}

/** The same order for the same seed, on every machine (mulberry32). */
export function shuffled(list, seed) {
  let state = seed >>> 0;
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const result = [...list];
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [result[last], result[other]] = [result[other], result[last]];
  }
  return result;
}

/** Adds up what became of mutants; a mutant that does not compile is no mutant. */
export class Score {
  #killed = 0;
  #survivors = [];
  #unreached = 0;
  #invalid = 0;

  /** `outcome`: killed, survived, unreached (no test runs it) or invalid. */
  add(outcome, where) {
    if (outcome === "invalid") this.#invalid += 1;
    else if (outcome === "killed") this.#killed += 1;
    else this.#survivors.push(outcome === "unreached" ? `${where} (no test runs it)` : where);
    if (outcome === "unreached") this.#unreached += 1;
  }

  print(title, log) {
    const valid = this.#killed + this.#survivors.length;
    const reached = valid - this.#unreached;
    const percent = (of) => (of === 0 ? "-" : `${((100 * this.#killed) / of).toFixed(1)} %`);
    for (const where of this.#survivors) log(`survived  ${where}`);
    log(
      `${title}: ${this.#killed} of ${valid} mutants found, score ${percent(valid)}, ` +
        `of those that a test runs ${percent(reached)} (${this.#invalid} invalid)`,
    );
  }
}

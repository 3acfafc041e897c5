// Mutants of src/ by StrykerJS, against the unit tests. Stryker itself takes no sample, so its
// instrumenter lists all mutants, and the places of those chosen are what Stryker may mutate.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { Instrumenter } from "@stryker-mutator/instrumenter";
import { Score, shuffled } from "./sample.mjs";

const FOLDER = ".nffi/mutation";
const RESULTS = `${FOLDER}/typescript.ndjson`;
const SANDBOX = `${FOLDER}/sandbox`;

export async function mutateTypeScript(files, { seed, max, minutes, log }) {
  const all = await mutantsOf(files);
  const ranges = placesOf(all, seed, max);
  log(`TypeScript: ${all.length} mutants in ${files.length} files; ${max} of them at most`);
  if (ranges.length === 0) return;
  mkdirSync(FOLDER, { recursive: true });
  rmSync(RESULTS, { force: true });
  const config = `${FOLDER}/stryker.json`;
  writeFileSync(config, JSON.stringify(configOf(ranges)));
  const { code, timedOut } = await runFor(minutes, "npx", ["stryker", "run", config]);
  if (code !== 0 && !timedOut) throw new Error(`StrykerJS has failed with exit code ${code}`);
  const score = new Score();
  for (const line of readLines(RESULTS)) {
    const { status, file, where, mutator, replacement } = JSON.parse(line);
    score.add(OUTCOMES[status] ?? "invalid", `${file}:${where}  ${mutator}: ${replacement}`);
  }
  rmSync(SANDBOX, { recursive: true, force: true });
  score.print("TypeScript", log);
}

const OUTCOMES = {
  Killed: "killed",
  Timeout: "killed",
  Survived: "survived",
  NoCoverage: "unreached", // by a unit test; the e2e tests take too long for this
};

function configOf(mutate) {
  return {
    mutate,
    testRunner: "vitest",
    vitest: { configFile: "vitest.mutation.config.ts" },
    plugins: ["@stryker-mutator/vitest-runner", "./scripts/mutation/reporter.mjs"],
    reporters: ["lines"],
    concurrency: 2,
    tempDirName: SANDBOX,
    cleanTempDir: "always",
    allowEmpty: true,
    // A copy of the repository, without what builds have left.
    ignorePatterns: [".nffi", "c-src/build", "c-src/sdk/rust/target", "*.tgz"],
    disableTypeChecks: false,
    timeoutMS: 30_000,
  };
}

async function mutantsOf(files) {
  const log = { ...console, isDebugEnabled: () => false, debug() {}, info() {}, trace() {} };
  const sources = files.map((name) => ({
    name,
    content: readFileSync(name, "utf8"),
    mutate: true,
  }));
  const options = { plugins: null, excludedMutations: [], ignorers: [], noHeader: true };
  return (await new Instrumenter(log).instrument(sources, options)).mutants;
}

/** A whole function would bring its mutants with it, and the sample would be of a few functions. */
const MAX_WITHIN = 5;

/** Ranges that hold `max` mutants at most: one within another comes with it. */
function placesOf(mutants, seed, max) {
  const chosen = new Set();
  const ranges = [];
  for (const one of shuffled(mutants, seed)) {
    if (chosen.has(one)) continue;
    const within = mutants.filter((other) => isWithin(other, one) && !chosen.has(other));
    if (within.length > MAX_WITHIN || chosen.size + within.length > max) continue;
    for (const other of within) chosen.add(other);
    const { start, end } = one.location;
    ranges.push(`${one.fileName}:${start.line + 1}:${start.column}-${end.line + 1}:${end.column}`);
  }
  return ranges;
}

function isWithin(inner, outer) {
  const before = (a, b) => a.line < b.line || (a.line === b.line && a.column <= b.column);
  const { location: i, fileName } = inner;
  const { location: o } = outer;
  return fileName === outer.fileName && before(o.start, i.start) && before(i.end, o.end);
}

/** Results up to then count. */
async function runFor(minutes, program, args) {
  const env = { ...process.env, NFFI_MUTATION_RESULTS: resolve(RESULTS) };
  const child = spawn(program, args, { stdio: "inherit", detached: true, env });
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    process.kill(-child.pid, "SIGTERM");
  }, minutes * 60_000);
  const code = await new Promise((done, fail) => {
    child.once("error", fail);
    child.once("close", done);
  }).finally(() => clearTimeout(timer));
  return { code, timedOut };
}

function readLines(file) {
  try {
    return readFileSync(file, "utf8").split("\n").filter(Boolean);
  } catch {
    return [];
  }
}

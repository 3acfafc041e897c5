/**
 * Measures all subjects in each setting, in turns: round after round, one after another, so that a
 * noisy moment of the machine hits all of them alike. The medians of the rounds are reported.
 */
import { mkdir } from "node:fs/promises";
import { cpus, release } from "node:os";
import { basename, join } from "node:path";
import { wholeEnvironment } from "../host/environment.js";
import { findProgram } from "../host/tools.js";
import { run } from "../io/exec.js";
import type { Comparison } from "./comparison.js";
import type { Surroundings } from "./compiled.js";
import { median, merge, percentile, type Sample } from "./histogram.js";
import { type Memory, type Report, type Result, type Setting, titleOfSetting } from "./report.js";
import type { Subject } from "./subject.js";
import { familyOf, privateMemoryOf, usageOf } from "./usage.js";
import type { Worker } from "./worker.js";
import { startWorkers, type Workers } from "./workers.js";

export interface Plan {
  readonly sizes: readonly number[];
  readonly together: readonly number[];
  readonly cpus: readonly ("one" | "all")[];
  readonly rounds: number;
  /** How long each measurement takes. */
  readonly ms: number;
}

export interface Measurement extends Surroundings, Plan {
  /** Says what is measured now. */
  log(line: string): void;
}

/** nginx allows 50 subrequests of a request. */
const MAX_TOGETHER = 32;

export async function measureAll(
  measurement: Measurement,
  comparison: Comparison,
): Promise<Report> {
  const settings: Setting[] = [];
  const leftOut = [...comparison.leftOut];
  let memory: readonly Memory[] = [];
  for (const cpus of measurement.cpus) {
    const taskset = await findProgram("taskset", measurement.env);
    if (cpus === "one" && taskset === undefined) {
      leftOut.push({ name: "one CPU", reason: "no taskset in PATH" });
      continue;
    }
    const workers = await startWorkers(measurement, comparison, {
      folder: await folderOf(measurement, cpus),
      taskset: cpus === "one" ? taskset : undefined,
    });
    const known = new Set(leftOut.map(({ name }) => name));
    leftOut.push(...workers.leftOut.filter(({ name }) => !known.has(name)));
    try {
      for (const size of measurement.sizes) {
        for (const together of measurement.together) {
          const setting = { cpus, size, together };
          settings.push({ ...setting, results: await inTurns(measurement, workers, setting) });
        }
      }
      memory = await memoryOf(workers);
    } finally {
      await workers.stop();
    }
  }
  const [cpu] = cpus();
  const machine = {
    ...{ cpus: cpus().length, model: cpu?.model ?? "unknown" },
    ...{ kernel: release(), node: process.versions.node },
  };
  const date = new Date().toISOString();
  const { rounds } = measurement;
  return { format: 1, date, ...comparison.titles, machine, rounds, settings, memory, leftOut };
}

async function folderOf({ folder }: Measurement, name: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  return path;
}

type Place = Omit<Setting, "results">;

interface Round {
  readonly sample: Sample;
  readonly cpuNs: number;
  readonly switches: number;
}

async function inTurns(
  measurement: Measurement,
  workers: Workers,
  place: Place,
): Promise<Result[]> {
  measurement.log(`measuring ${titleOfSetting(place)}`);
  // the floor has one call in flight, and measures itself
  const taking = workers.subjects.filter(
    ({ program }) => program === undefined || place.together === 1,
  );
  const rounds = new Map<Subject, Round[]>(taking.map((subject) => [subject, []]));
  // The first round warms up what compiles itself while it runs.
  for (let round = 0; round <= measurement.rounds; round++) {
    for (const subject of taking) {
      const one = await measure(measurement, subject, workers.of(subject), place);
      if (round > 0) rounds.get(subject)?.push(one);
    }
  }
  return taking.map((subject) => resultOf(subject, rounds.get(subject) ?? []));
}

async function measure(
  measurement: Measurement,
  subject: Subject,
  worker: Worker,
  place: Place,
): Promise<Round> {
  if (subject.program !== undefined) {
    return { sample: await runFloor(measurement, subject.program, place), cpuNs: 0, switches: 0 };
  }
  const pids = await worker.processes();
  const before = await usageOf(pids);
  const requests = Math.ceil(place.together / MAX_TOGETHER);
  const query = { ...subject.query, size: `${place.size}`, ms: `${measurement.ms}` };
  const samples = await Promise.all(
    Array.from({ length: requests }, async (): Promise<Sample> => {
      const together = `${Math.ceil(place.together / requests)}`;
      return JSON.parse(await worker.ask("/measure", { ...query, together }));
    }),
  );
  const after = await usageOf(pids);
  return {
    sample: merge(samples, { together: true }),
    cpuNs: after.cpuNs - before.cpuNs,
    switches: after.switches - before.switches,
  };
}

async function runFloor(
  { env, ms, signal }: Measurement,
  program: string,
  { cpus, size }: Place,
): Promise<Sample> {
  const args = [`${size}`, `${ms}`, cpus === "one" ? "0" : "all"];
  const done = await run({ program, args, env: wholeEnvironment(env) }, { signal });
  return JSON.parse(done.stdout);
}

function resultOf({ name, language, way }: Subject, rounds: readonly Round[]): Result {
  const all = merge(
    rounds.map(({ sample }) => sample),
    { together: false },
  );
  const each = (value: (round: Round) => number) => median(rounds.map(value));
  return {
    ...{ name, language, way },
    callsPerSecond: each(({ sample }) => sample.calls / sample.seconds),
    p50: percentile(all, 0.5),
    p99: percentile(all, 0.99),
    p999: percentile(all, 0.999),
    cpu: each(({ cpuNs, sample }) => cpuNs / 1000 / sample.calls),
    switches: each(({ switches, sample }) => switches / sample.calls),
  };
}

/**
 * Of the processes of runtimes, and of servers. A runtime in the worker has no separate figure.
 */
async function memoryOf(workers: Workers): Promise<Memory[]> {
  const memory: Memory[] = [];
  for (const subject of workers.subjects) {
    const { name, processOf, server } = subject;
    const worker = workers.of(subject);
    const processes = await worker.runtimes();
    // nffi names a runtime after the last part of its path
    const runtime = processOf && basename(processOf);
    const pids = processes.filter(([, name]) => name === runtime).map(([pid]) => pid);
    const serverPid = server && worker.pidOf(server);
    const own = serverPid === undefined ? pids : await familyOf(serverPid);
    if (own.length > 0) memory.push({ name, bytes: await privateMemoryOf(own) });
  }
  return memory;
}

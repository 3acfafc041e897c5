/** One worker for each nginx of a comparison, side by side. A worker without calls sleeps. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../errors.js";
import type { Comparison } from "./comparison.js";
import type { Surroundings } from "./compiled.js";
import type { HostName, LeftOut, Subject } from "./subject.js";
import { startWorker, type Worker } from "./worker.js";

export interface Workers {
  /** The subjects that can be measured; lua-resty-ffi may not fit its nginx. */
  readonly subjects: readonly Subject[];
  readonly leftOut: readonly LeftOut[];
  /** For one of `subjects`. */
  of(subject: Subject): Worker;
  stop(): Promise<void>;
}

export interface Place {
  /** A new directory. */
  readonly folder: string;
  /** With it all processes share one CPU. */
  readonly taskset: string | undefined;
}

const HOSTS: readonly HostName[] = ["product", "against", "resty-ffi"];

export async function startWorkers(
  surroundings: Surroundings,
  { hosts, subjects }: Comparison,
  place: Place,
): Promise<Workers> {
  const started: Worker[] = [];
  const leftOut: LeftOut[] = [];
  const stop = async () => {
    await Promise.all(started.map((worker) => worker.stop()));
  };
  const ready = new Map<Subject, Worker>();
  try {
    for (const name of HOSTS) {
      const host = hosts[name];
      const own = subjects.filter((subject) => hostOf(subject) === name);
      if (host === undefined || own.length === 0) continue;
      const folder = join(place.folder, name);
      await mkdir(folder, { recursive: true });
      const { env, signal, sources } = surroundings;
      const worker = await startWorker({
        ...{ ...host, ...place, folder, env, signal, sources },
        hasThreads: own.some(({ way }) => way === "run_worker_thread"),
        servers: own.flatMap(({ server }) => server ?? []),
      });
      started.push(worker);
      for (const subject of own) {
        const reason = name === "resty-ffi" ? await failureOf(subject, worker) : undefined;
        if (reason === undefined) ready.set(subject, worker);
        else leftOut.push({ name: subject.name, reason });
      }
    }
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  return {
    subjects: subjects.filter((subject) => ready.has(subject)),
    leftOut,
    of: (subject) => ready.get(subject) as Worker,
    stop,
  };
}

function hostOf({ host = "product" }: Subject): HostName {
  return host;
}

/** Returns the error of a first call, if any: libresty_ffi.so fits one build of nginx only. */
async function failureOf({ query }: Subject, worker: Worker): Promise<string | undefined> {
  try {
    await worker.ask("/measure", { ...query, size: "64", ms: "1", together: "1" });
    return undefined;
  } catch (thrown) {
    if (!(thrown instanceof NffiError)) throw thrown;
    const [, reason] = /runtime error: (.*)/.exec(thrown.hint ?? "") ?? [];
    return reason ?? thrown.message;
  }
}

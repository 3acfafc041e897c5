// Looks at processes through /proc, so that a test can name whatever an nginx has left behind.
import { readdirSync, readFileSync } from "node:fs";

export interface ProcessId {
  readonly pid: number;
  /** Start time in clock ticks: a pid that was given to another process is another ProcessId. */
  readonly started: string;
}

interface Stat extends ProcessId {
  readonly parent: number;
  readonly state: string;
}

export function statOf(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name of the program, in parentheses, may hold spaces.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return {
      pid,
      state: fields[0] ?? "",
      parent: Number(fields[1]),
      started: fields[19] ?? "",
    };
  } catch {
    return undefined;
  }
}

export function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}

/** The process and all its current descendants, including supervisors of nginx. */
export function familyOf(pid: number): ProcessId[] {
  const children = new Map<number, Stat[]>();
  for (const stat of allProcesses()) {
    const parent = workerOf(stat) ?? stat.parent;
    children.set(parent, [...(children.get(parent) ?? []), stat]);
  }
  const self = statOf(pid);
  const family: ProcessId[] = self ? [self] : [];
  for (const member of family) family.push(...(children.get(member.pid) ?? []));
  return family;
}

export function childrenOf(pid: number): number[] {
  return allProcesses()
    .filter((stat) => stat.parent === pid && stat.state !== "Z")
    .map((stat) => stat.pid);
}

/** A supervisor, or the keeper of a process, which is a fork of it. */
const SUPERVISOR = /^nffi-supervisor worker (\d+)$/;

/** The nginx worker of a supervisor, which is no child of it. */
function workerOf(stat: Stat): number | undefined {
  const worker = SUPERVISOR.exec(commandLineOf(stat.pid))?.[1];
  const isKeeper = worker !== undefined && SUPERVISOR.test(commandLineOf(stat.parent));
  return worker === undefined || isKeeper ? undefined : Number(worker);
}

/** The supervisors of a worker: one, or none. */
export function supervisorsOf(worker: number): number[] {
  return allProcesses()
    .filter((stat) => stat.state !== "Z" && workerOf(stat) === worker)
    .map((stat) => stat.pid);
}

/** The processes of runtimes that a worker has. */
export function runtimesOf(worker: number): number[] {
  return allProcesses()
    .filter((stat) => stat.state !== "Z" && !SUPERVISOR.test(commandLineOf(stat.pid)))
    .filter((stat) => SUPERVISOR.exec(commandLineOf(stat.parent))?.[1] === `${worker}`)
    .map((stat) => stat.pid);
}

/** Is it still there, be it as a zombie? */
export function isThere(id: ProcessId): boolean {
  return statOf(id.pid)?.started === id.started;
}

/**
 * Waits until all have exited, and returns the remaining ones. A zombie counts while its parent is
 * one of them and forgot to reap it; init reaps an orphan later.
 */
export async function stillThereAfter(
  ids: readonly ProcessId[],
  timeoutMs: number,
): Promise<ProcessId[]> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const left = ids.filter((id) => isThere(id) && !isReapedByInit(id, ids));
    if (left.length === 0 || Date.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function isReapedByInit(id: ProcessId, family: readonly ProcessId[]): boolean {
  const stat = statOf(id.pid);
  return stat?.state === "Z" && !family.some((member) => member.pid === stat.parent);
}

function allProcesses(): Stat[] {
  const stats: Stat[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = statOf(Number(name));
    if (stat) stats.push(stat);
  }
  return stats;
}

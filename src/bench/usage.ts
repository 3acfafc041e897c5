/** The CPU time, context switches and memory of processes, from /proc. */
import { readdir, readFile } from "node:fs/promises";

export interface Usage {
  readonly cpuNs: number;
  readonly switches: number;
}

/** A process and all of its descendants that still run. */
export async function familyOf(pid: number): Promise<number[]> {
  const text = await readOrEmpty(`/proc/${pid}/task/${pid}/children`);
  const children = text.trim().split(" ").filter(Boolean).map(Number);
  const families = await Promise.all(children.map(familyOf));
  return [pid, ...families.flat()];
}

/** The sum over all threads of the processes; a thread that has ended no longer counts. */
export async function usageOf(pids: readonly number[]): Promise<Usage> {
  const threads = await Promise.all(
    pids.map(async (pid) => {
      const ids = await readdir(`/proc/${pid}/task`).catch(() => []);
      return Promise.all(ids.map((id) => usageOfThread(`/proc/${pid}/task/${id}`)));
    }),
  );
  return threads.flat().reduce(
    (total, one) => ({
      cpuNs: total.cpuNs + one.cpuNs,
      switches: total.switches + one.switches,
    }),
    { cpuNs: 0, switches: 0 },
  );
}

async function usageOfThread(path: string): Promise<Usage> {
  const [schedstat, status] = await Promise.all([
    readOrEmpty(`${path}/schedstat`),
    readOrEmpty(`${path}/status`),
  ]);
  const switches = [...status.matchAll(/^(?:non)?voluntary_ctxt_switches:\s+(\d+)$/gm)];
  return {
    cpuNs: Number(schedstat.split(" ")[0] ?? 0),
    switches: switches.reduce((total, [, count]) => total + Number(count), 0),
  };
}

/** Bytes that no other process shares. */
export async function privateMemoryOf(pids: readonly number[]): Promise<number> {
  let kilobytes = 0;
  for (const pid of pids) {
    const text = await readOrEmpty(`/proc/${pid}/smaps_rollup`);
    for (const [, kb] of text.matchAll(/^Private_\w+:\s+(\d+) kB$/gm)) kilobytes += Number(kb);
  }
  return kilobytes * 1024;
}

/** A process may end while it is read. */
function readOrEmpty(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}

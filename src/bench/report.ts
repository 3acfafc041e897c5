/** What `nffi bench` has measured; `nffi bench --json` writes it (docs/json.md). */

/** How Lua reaches the handler. */
export type Way =
  | "nffi"
  | "cosocket"
  | "proxy_pass"
  | "run_worker_thread"
  | "lua-resty-ffi"
  | "floor";

export interface Machine {
  readonly cpus: number;
  readonly model: string;
  readonly kernel: string;
  readonly node: string;
}

/** The figures of one subject in one setting: medians of the rounds. */
export interface Result {
  readonly name: string;
  readonly language: string;
  readonly way: Way;
  readonly callsPerSecond: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** Microseconds of CPU time for a call, of all processes that take part. */
  readonly cpu: number;
  /** Context switches for a call, of all processes that take part. */
  readonly switches: number;
}

export interface Setting {
  readonly cpus: "one" | "all";
  /** Bytes of a request and of its response. */
  readonly size: number;
  /** Calls in flight. */
  readonly together: number;
  readonly results: readonly Result[];
}

export interface Memory {
  readonly name: string;
  /** Private bytes of its processes after the measurement. */
  readonly bytes: number;
}

export interface Report {
  readonly format: 1;
  readonly date: string;
  readonly product: string;
  /** The product of --against. */
  readonly against?: string;
  readonly machine: Machine;
  readonly rounds: number;
  readonly settings: readonly Setting[];
  readonly memory: readonly Memory[];
  readonly leftOut: readonly { readonly name: string; readonly reason: string }[];
}

/** "512 B, 64 calls in flight, one CPU" */
export function titleOfSetting({ size, together, cpus }: Omit<Setting, "results">): string {
  const calls = together === 1 ? "one call in flight" : `${together} calls in flight`;
  return `${sizeText(size)}, ${calls}, ${cpus === "one" ? "one CPU" : "all CPUs"}`;
}

export function sizeText(bytes: number): string {
  const units: [number, string][] = [
    [1 << 20, "MB"],
    [1 << 10, "KB"],
  ];
  for (const [unit, name] of units)
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit} ${name}`;
  return `${bytes} B`;
}

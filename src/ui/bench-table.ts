/** The report of `nffi bench` as tables for a terminal: the quickest first. */
import { type Report, type Result, type Setting, titleOfSetting } from "../bench/report.js";
import { table } from "./table.js";

export function benchLines({
  product,
  machine,
  settings,
  memory,
  leftOut,
  rounds,
}: Report): string[] {
  const { cpus, model, kernel, node } = machine;
  return [
    `${product}; ${cpus} CPUs (${model}), Linux ${kernel}, Node ${node}; medians of ${rounds} rounds`,
    ...settings.flatMap((setting) => ["", titleOfSetting(setting), ...rowsOf(setting)]),
    "",
    "private memory of the processes",
    ...table(memory.map(({ name, bytes }) => [`  ${name}`, `${(bytes / 2 ** 20).toFixed(1)} MB`])),
    ...leftOut.map(({ name, reason }) => `not measured: ${name} (${reason})`),
  ];
}

const HEAD = ["", "calls/s", "p50", "p99", "p99.9", "CPU/call", "switches/call"];

function rowsOf({ results }: Setting): string[] {
  const sorted = results.toSorted((a, b) => b.callsPerSecond - a.callsPerSecond);
  const rows = sorted.map((result) => [`  ${result.name}`, ...figuresOf(result)]);
  const widths = HEAD.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)),
  );
  const aligned = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell : cell.padStart(widths[i] ?? 0)));
  return table([HEAD, ...rows].map(aligned));
}

function figuresOf({ way, callsPerSecond, p50, p99, p999, cpu, switches }: Result): string[] {
  const measured = way !== "floor"; // which is a separate program
  return [
    Math.round(callsPerSecond).toLocaleString("en"),
    ...[p50, p99, p999].map(microseconds),
    measured ? microseconds(cpu) : "",
    measured ? switches.toFixed(2) : "",
  ];
}

/** Three digits. */
export function microseconds(us: number): string {
  return us >= 1000 ? `${(us / 1000).toPrecision(3)} ms` : `${Number(us.toPrecision(3))} us`;
}

/**
 * The report of `nffi bench` as one HTML file without any other: plots and tables, light and dark.
 */
import { type Report, type Result, type Setting, titleOfSetting, type Way } from "./report.js";

/** In the order of the key. */
const WAYS: readonly (readonly [Way, string])[] = [
  ["nffi", "nffi"],
  ["cosocket", "a cosocket to a server on a unix socket"],
  ["proxy_pass", "a subrequest with proxy_pass to that server"],
  ["run_worker_thread", "ngx.run_worker_thread"],
  ["floor", "two threads, a futex and an eventfd"],
];

export function reportHtml(report: Report): string {
  const { machine, product, rounds, date } = report;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>nffi bench</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>What a call from Lua costs</h1>
<p>${escaped(product)}. ${machine.cpus} CPUs (${escaped(machine.model)}), Linux ${escaped(machine.kernel)},
Node ${escaped(machine.node)}. Medians of ${rounds} rounds, measured in turns on
<time datetime="${date}">${date.slice(0, 10)}</time>. Bars show the median time of a call; the thin
line ends at the 99th percentile. The scale is logarithmic.</p>
<ul class="key">${WAYS.map(([way, title]) => `<li class="${way}">${title}</li>`).join("")}</ul>
${report.settings.map(section).join("\n")}
${memorySection(report)}
${leftOutSection(report)}
</main>
</body>
</html>
`;
}

function section(setting: Setting): string {
  const results = setting.results.toSorted((a, b) => a.p50 - b.p50);
  const title = escaped(titleOfSetting(setting));
  return `<section>
<h2>${title}</h2>
${plot(results, title)}
<div class="wide"><table>
<thead><tr><th></th><th>calls/s</th><th>p50, us</th><th>p99, us</th><th>p99.9, us</th><th>CPU, us/call</th><th>context switches/call</th></tr></thead>
<tbody>${results.map(row).join("")}</tbody>
</table></div>
</section>`;
}

function row({ name, way, callsPerSecond, p50, p99, p999, cpu, switches }: Result): string {
  const figures = [
    Math.round(callsPerSecond).toLocaleString("en"),
    ...[p50, p99, p999].map(digits),
  ];
  const usage = way === "floor" ? ["", ""] : [digits(cpu), switches.toFixed(2)];
  const cells = [...figures, ...usage].map((cell) => `<td>${cell}</td>`).join("");
  return `<tr><th scope="row">${escaped(name)}</th>${cells}</tr>`;
}

const ROW = 22;
const LABEL = 210;
const WIDTH = 760;
const END = 70; // for the figure behind a bar

/** Bars on a logarithmic scale that begins at a power of ten below the shortest. */
function plot(results: readonly Result[], title: string): string {
  const measured = results.filter(({ p50 }) => p50 > 0);
  const [first] = measured;
  if (first === undefined) return "";
  const low = 10 ** Math.floor(Math.log10(first.p50 / 1.5));
  const high = Math.max(...measured.map(({ p99 }) => p99));
  const scale = (WIDTH - LABEL - END) / Math.log10(high / low);
  const at = (us: number) => (LABEL + Math.max(0, Math.log10(us / low)) * scale).toFixed(1);
  const height = measured.length * ROW + 20;
  const bars = measured.map(({ name, way, p50, p99 }, i) => {
    const y = i * ROW + 16;
    return `<text x="${LABEL - 8}" y="${y + 12}" class="name">${escaped(name)}</text>
<rect x="${LABEL}" y="${y + 2}" width="${(Number(at(p50)) - LABEL).toFixed(1)}" height="${ROW - 8}" class="${way}"/>
<line x1="${at(p50)}" x2="${at(p99)}" y1="${y + ROW / 2 - 2}" y2="${y + ROW / 2 - 2}" class="tail"/>
<text x="${Number(at(p99)) + 6}" y="${y + 12}" class="figure">${digits(p50)} us</text>`;
  });
  return `<div class="wide"><svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Time of a call, ${title}">
${ticks(low, high, height, at)}
${bars.join("\n")}
</svg></div>`;
}

function ticks(low: number, high: number, height: number, at: (us: number) => string): string {
  const lines: string[] = [];
  for (let us = low; us <= high; us *= 10) {
    const label = us >= 1000 ? `${us / 1000} ms` : `${Number(us.toPrecision(2))} us`;
    lines.push(
      `<line x1="${at(us)}" x2="${at(us)}" y1="14" y2="${height}" class="tick"/>`,
      `<text x="${at(us)}" y="10" class="scale">${label}</text>`,
    );
  }
  return lines.join("");
}

function memorySection({ memory }: Report): string {
  if (memory.length === 0) return "";
  const rows = memory.map(
    ({ name, bytes }) =>
      `<tr><th scope="row">${escaped(name)}</th><td>${(bytes / 2 ** 20).toFixed(1)}</td></tr>`,
  );
  return `<section><h2>Private memory of the processes</h2>
<table><thead><tr><th></th><th>MB</th></tr></thead><tbody>${rows.join("")}</tbody></table></section>`;
}

function leftOutSection({ leftOut }: Report): string {
  if (leftOut.length === 0) return "";
  const items = leftOut.map(({ name, reason }) => `<li>${escaped(name)}: ${escaped(reason)}</li>`);
  return `<section><h2>Not measured</h2><ul>${items.join("")}</ul></section>`;
}

function digits(us: number): string {
  return String(Number(us.toPrecision(3)));
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`);
}

const STYLE = `
:root { --back: #fff; --text: #1c2024; --soft: #6b7280; --line: #d9dce1;
  --nffi: #1f6feb; --cosocket: #b35900; --proxy_pass: #8a3ffc; --run_worker_thread: #0e7c66;
  ----floor: #80868f; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e6e8ea; --soft: #9aa3ad;
  --line: #333a41; --nffi: #6ea8fe; --cosocket: #f0a35e; --proxy_pass: #c4a1ff;
  --run_worker_thread: #4fd1b5; --floor: #a0a7b0; } }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 26px; } h2 { font-size: 18px; margin: 40px 0 8px; }
p, .key { color: var(--soft); }
.wide { overflow-x: auto; }
svg { width: 100%; min-width: 560px; font-size: 12px; }
svg text { fill: var(--text); } .name, .scale { text-anchor: end; }
.scale { text-anchor: middle; } svg .scale, svg .figure { fill: var(--soft); font-size: 11px; }
.tick { stroke: var(--line); } .tail { stroke: var(--soft); }
${WAYS.map(([way]) => `rect.${way} { fill: var(--${way}); } .key .${way}::before { background: var(--${way}); }`).join("\n")}
.key { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 4px 20px; }
.key li::before { content: ""; display: inline-block; width: 11px; height: 11px; margin-right: 7px; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: 3px 10px 3px 0; text-align: right; border-bottom: 1px solid var(--line); font-weight: normal; white-space: nowrap; }
th:first-child { text-align: left; } thead th { color: var(--soft); }
`;

/**
 * The report of `nffi bench` as one HTML file without any other: plots and tables, light and dark.
 */
import { digits, escaped, PLOT_STYLE, plot, WAYS } from "./plot.js";
import { type Report, type Result, type Setting, titleOfSetting } from "./report.js";

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
<div class="wide">${plot(results, title)}</div>
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

const STYLE = `
${PLOT_STYLE}
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 26px; } h2 { font-size: 18px; margin: 40px 0 8px; }
p, .key { color: var(--soft); }
.wide { overflow-x: auto; }
svg { width: 100%; min-width: 560px; font-size: 12px; }
${WAYS.map(([way]) => `.key .${way}::before { background: var(--${way}); }`).join("\n")}
.key { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 4px 20px; }
.key li::before { content: ""; display: inline-block; width: 11px; height: 11px; margin-right: 7px; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: 3px 10px 3px 0; text-align: right; border-bottom: 1px solid var(--line); font-weight: normal; white-space: nowrap; }
th:first-child { text-align: left; } thead th { color: var(--soft); }
`;

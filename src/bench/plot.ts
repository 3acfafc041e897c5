/** Times of calls as bars in SVG. */
import type { Result, Way } from "./report.js";

/** In the order of the key. */
export const WAYS: readonly (readonly [Way, string])[] = [
  ["nffi", "nffi"],
  ["cosocket", "a cosocket to a server on a unix socket"],
  ["proxy_pass", "a subrequest with proxy_pass to that server"],
  ["run_worker_thread", "ngx.run_worker_thread"],
  ["lua-resty-ffi", "lua-resty-ffi"],
  ["floor", "two threads, a futex and an eventfd"],
];

const ROW = 22;
const LABEL = 210;
const WIDTH = 760;
const END = 70; // for the figure behind a bar

/** Bars on a logarithmic scale that begins at a power of ten below the shortest. */
export function plot(results: readonly Result[], title: string): string {
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
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Time of a call, ${title}">
${ticks(low, high, height, at)}
${bars.join("\n")}
</svg>`;
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

/** The plot as a separate file. It follows the colours of the page that shows it. */
export function chartSvg(results: readonly Result[], title: string): string {
  const style = `<style>${PLOT_STYLE} svg { font: 12px system-ui, sans-serif; }</style>`;
  const start = '<svg xmlns="http://www.w3.org/2000/svg" ';
  return `${plot(results, escaped(title)).replace("<svg ", start).replace(">", `>${style}`)}\n`;
}

export function digits(us: number): string {
  return String(Number(us.toPrecision(3)));
}

export function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`);
}

export const PLOT_STYLE = `
:root { --back: #fff; --text: #1c2024; --soft: #6b7280; --line: #d9dce1;
  --nffi: #1f6feb; --cosocket: #b35900; --proxy_pass: #8a3ffc; --run_worker_thread: #0e7c66;
  --lua-resty-ffi: #c2185b; --floor: #80868f; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e6e8ea; --soft: #9aa3ad;
  --line: #333a41; --nffi: #6ea8fe; --cosocket: #f0a35e; --proxy_pass: #c4a1ff;
  --run_worker_thread: #4fd1b5; --lua-resty-ffi: #f48fb1; --floor: #a0a7b0; } }
svg text { fill: var(--text); } .name, .scale { text-anchor: end; }
.scale { text-anchor: middle; } svg .scale, svg .figure { fill: var(--soft); font-size: 11px; }
.tick { stroke: var(--line); } .tail { stroke: var(--soft); }
${WAYS.map(([way]) => `rect.${way} { fill: var(--${way}); }`).join("\n")}
`;

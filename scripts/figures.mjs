// Writes what docs/bench.json, a report of `nffi bench --json`, has into the documents: the chart
// docs/calls.svg and the blocks between "figures" and "end of figures" in README.md and
// docs/performance.md. With --check it changes nothing and fails if something would change.
//
//   nffi bench --json docs/bench.json && npm run figures
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { chartSvg } from "../dist/bench/plot.js";
import { sizeText, titleOfSetting } from "../dist/bench/report.js";
import { microseconds } from "../dist/ui/bench-table.js";

process.chdir(new URL("..", import.meta.url).pathname);
const check = process.argv.includes("--check");
const report = JSON.parse(readFileSync("docs/bench.json", "utf8"));

const IN_CHART =
  /^(?:nffi|lua-resty-ffi|cosocket|proxy_pass), (?:C|Go|Go, inline|TypeScript|Python)$/;
const shown = report.settings.find(
  ({ cpus, size, together }) => cpus === "one" && size === 512 && together === 1,
);
const stale = [];
write("docs/calls.svg", () => {
  const results = shown.results.filter(({ name }) => IN_CHART.test(name));
  return chartSvg(
    results.toSorted((a, b) => a.p50 - b.p50),
    titleOfSetting(shown),
  );
});
for (const [file, lines] of [
  ["README.md", readmeLines()],
  ["docs/performance.md", performanceLines()],
]) {
  write(file, (text) =>
    text.replace(/(<!-- figures -->\n)[\s\S]*?(<!-- end of figures -->)/, (_all, start, end) =>
      [start, ...lines.map((line) => `${line}\n`), end].join(""),
    ),
  );
}
if (stale.length > 0) {
  console.error(`not what docs/bench.json says: ${stale.join(", ")}; run \`npm run figures\``);
  process.exit(1);
}

function write(file, change) {
  const before = existsSync(file) ? readFileSync(file, "utf8") : "";
  const after = change(before);
  if (before === after) return;
  if (check) stale.push(file);
  else writeFileSync(file, after);
}

function readmeLines() {
  return [`![Median time of a call, ${titleOfSetting(shown)}](docs/calls.svg)`];
}

function performanceLines() {
  const { machine, product, against, date, rounds } = report;
  return [
    ...(against === undefined ? [] : [`Compared with ${against}.`]),
    `${product} on ${machine.cpus} CPUs (${machine.model}), Linux ${machine.kernel},`,
    `Node ${machine.node}, ${date.slice(0, 10)}. Medians of ${rounds} rounds.`,
    ...[...new Set(report.settings.map(({ together }) => together))].flatMap(tableOf),
  ];
}

/** One call in flight: the median time of a call; more: calls a second. */
function tableOf(together) {
  const settings = report.settings.filter((one) => one.together === together);
  const places = settings.map(
    ({ size, cpus }) => `${sizeText(size)}, ${cpus === "one" ? "one CPU" : "all CPUs"}`,
  );
  const figure = (result) => {
    if (result === undefined) return "";
    if (together === 1) return microseconds(result.p50);
    return `${Number((result.callsPerSecond / 1000).toPrecision(3))}`;
  };
  const names = settings[0].results.map(({ name }) => name);
  const title = together === 1 ? "one call in flight" : `thousand calls/s, ${together} in flight`;
  return [
    "",
    `| ${[title, ...places].join(" | ")} |`,
    `|${"---|".repeat(places.length + 1)}`,
    ...names.map((name) => {
      const figures = settings.map(({ results }) =>
        figure(results.find((result) => result.name === name)),
      );
      return `| ${[name, ...figures].join(" | ")} |`;
    }),
  ];
}

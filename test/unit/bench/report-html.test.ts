import { expect, test } from "vitest";
import type { Report, Result } from "../../../src/bench/report.js";
import { reportHtml } from "../../../src/bench/report-html.js";

const result = (name: string, way: Result["way"], p50: number): Result => ({
  ...{ name, language: "C", way, callsPerSecond: 1e6 / p50, p50 },
  ...{ p99: p50 * 2, p999: p50 * 9, cpu: p50, switches: 2 },
});

const report: Report = {
  format: 1,
  date: "2026-11-30T12:00:00.000Z",
  product: "OpenResty <1.27>",
  machine: { cpus: 2, model: "A & B", kernel: "6.1", node: "20.19.0" },
  rounds: 5,
  settings: [
    {
      ...{ cpus: "one", size: 102400, together: 64 },
      results: [result("cosocket, C", "cosocket", 40), result("nffi, C", "nffi", 4)],
    },
    { cpus: "all", size: 512, together: 1, results: [] },
  ],
  memory: [{ name: "nffi, Python", bytes: 3 << 20 }],
  leftOut: [{ name: "go", reason: "no go in PATH" }],
};

test("the page has every figure, refers to nothing outside, and escapes what it shows", () => {
  const html = reportHtml(report);
  expect(html).not.toMatch(/\b(?:src|href|url|@import)\b\s*[=(]|https?:/);
  expect(html).toContain("OpenResty &#60;1.27&#62;");
  expect(html).toContain("A &#38; B");
  expect(html).toContain("<h2>100 KB, 64 calls in flight, one CPU</h2>");
  expect(html).toContain("<h2>512 B, one call in flight, all CPUs</h2>");
  expect(html).toContain("go: no go in PATH");
  expect(html).toMatch(/nffi, Python<\/th><td>3\.0</);
  expect(html).toMatch(/nffi, C<\/th><td>250,000<\/td><td>4<\/td><td>8<\/td><td>36</);
});

test("the quickest comes first, and a bar is as long as the logarithm of its time", () => {
  const html = reportHtml(report);
  expect(html.indexOf("nffi, C")).toBeLessThan(html.indexOf("cosocket, C"));
  const widths = [...html.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) =>
    Number(width),
  );
  const [quick = 0, slow = 0] = widths;
  // from 1 us: 4 and 40
  expect(slow / quick).toBeCloseTo(Math.log(40) / Math.log(4), 2);
});

import { expect, test } from "vitest";
import { median, merge, percentile, type Sample } from "../../../src/bench/histogram.js";

/** The bucket of compare.lua and floor.c, computed another way. */
function bucketOf(ns: number): number {
  const exponent = Math.floor(Math.log2(ns)) + 1;
  return exponent * 32 + Math.floor((ns / 2 ** exponent - 0.5) * 64);
}

function sampleOf(times: readonly number[]): Sample {
  const counts = new Map<number, number>();
  for (const ns of times) counts.set(bucketOf(ns), (counts.get(bucketOf(ns)) ?? 0) + 1);
  return { calls: times.length, seconds: 1, histogram: [...counts].sort(([a], [b]) => a - b) };
}

test("a percentile is at most 4 % above the time of that call", () => {
  const times = Array.from({ length: 1000 }, (_, i) => 1000 * 1.01 ** i);
  const sample = sampleOf(times);
  for (const share of [0.5, 0.99, 0.999]) {
    const exact = (times[Math.ceil(share * times.length) - 1] ?? 0) / 1000;
    expect(percentile(sample, share) / exact).toBeGreaterThanOrEqual(1);
    expect(percentile(sample, share) / exact).toBeLessThan(1.04);
  }
});

test("samples of the same time add their calls, not their seconds; rounds add both", () => {
  const samples = [sampleOf([1000, 2000]), { ...sampleOf([1000]), seconds: 2 }];
  const together = merge(samples, { together: true });
  expect(together).toMatchObject({ calls: 3, seconds: 2 });
  expect(together.histogram).toEqual([
    [bucketOf(1000), 2],
    [bucketOf(2000), 1],
  ]);
  expect(merge(samples, { together: false }).seconds).toBe(3);
});

test("without calls there is no time; the median of an even number is the smaller", () => {
  expect(percentile(sampleOf([]), 0.5)).toBe(0);
  expect(median([4, 1, 3, 2])).toBe(2);
  expect(median([])).toBe(0);
});

/**
 * Times of calls as bench/compare/compare.lua counts them: each power of two of nanoseconds has
 * STEPS buckets, so a percentile is exact to 3 %.
 */

const STEPS = 32;

/** The result of one request to compare.lua, or of the program floor. */
export interface Sample {
  readonly calls: number;
  readonly seconds: number;
  /** Pairs of a bucket's index and its count, in the order of the index. */
  readonly histogram: readonly (readonly [number, number])[];
}

/** Samples that were taken at the same time (`together`), or one after another. */
export function merge(samples: readonly Sample[], { together }: { together: boolean }): Sample {
  const counts = new Map<number, number>();
  for (const [bucket, count] of samples.flatMap((sample) => sample.histogram)) {
    counts.set(bucket, (counts.get(bucket) ?? 0) + count);
  }
  const seconds = samples.map((sample) => sample.seconds);
  return {
    calls: sum(samples.map((sample) => sample.calls)),
    seconds: together ? Math.max(...seconds) : sum(seconds),
    histogram: [...counts].sort(([a], [b]) => a - b),
  };
}

/** Microseconds that the share `share` (0 to 1) of the calls did not exceed; 0 without calls. */
export function percentile({ calls, histogram }: Sample, share: number): number {
  let seen = 0;
  for (const [bucket, count] of histogram) {
    seen += count;
    if (seen >= share * calls) return upperEnd(bucket) / 1000;
  }
  return 0;
}

function upperEnd(bucket: number): number {
  const exponent = Math.floor(bucket / STEPS);
  return 2 ** exponent * (0.5 + (bucket - exponent * STEPS + 1) / (2 * STEPS));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

/** The middle one; of two in the middle the smaller. */
export function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[(numbers.length - 1) >> 1] ?? 0;
}

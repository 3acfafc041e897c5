// The order of the test files: the slow ones first, so that no worker is left with one at the end.
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * Seconds that a file takes on two cores of a fresh machine, where it takes long. Before all others
 * come the files that build the OpenResty of others; c/library computes little in that time.
 */
const SECONDS: Readonly<Record<string, number>> = {
  "e2e/build-product": 900,
  "c/library": 800,
  "e2e/build-again": 250,
  "e2e/ci": 150,
  "e2e/docker": 150,
  "sdk/rust/grpc": 140,
  "lint/lint": 120,
  "sdk/node/template": 100,
  "e2e/build-bad-input": 90,
  "e2e/traps-worker": 60,
  "sdk/node/addon/sources": 60,
  "sdk/java/kafka": 50,
  "sdk/java/template": 50,
  "sdk/go/template": 40,
  "sdk/python/template": 40,
  "sdk/shared/languages": 40,
  "e2e/engine-close": 40,
};

/** The first files of each flavour build its OpenResty. */
const FIRST = 1_000;

export class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const building = new Map<string, TestSpecification>();
    for (const file of sorted) {
      const { name } = file.project.config;
      if (name === "asan" && !building.has(name)) building.set(name, file);
    }
    const weight = (file: TestSpecification) =>
      building.get(file.project.config.name ?? "") === file ? FIRST : secondsOf(file.moduleId);
    return sorted.toSorted((a, b) => weight(b) - weight(a));
  }
}

function secondsOf(path: string): number {
  const name = /\/test\/(.+)\.test\.ts$/.exec(path)?.[1] ?? "";
  return SECONDS[name] ?? 0;
}

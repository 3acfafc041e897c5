// The order of the test files: the slow ones first, so that no worker is left with one at the end.
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Seconds that a file takes on two cores, where it takes long. Builds of OpenResty lead. */
const SECONDS: Readonly<Record<string, number>> = {
  "c/library": 300,
  "e2e/build-again": 400,
  "e2e/ci": 220,
  "e2e/docker": 180,
  "e2e/build-bad-input": 80,
  "sdk/node/template": 80,
  "sdk/rust/package": 60,
  "sdk/go/package": 60,
  "sdk/java/kafka": 50,
  "sdk/java/template": 40,
  "e2e/traps-worker": 40,
  "e2e/engine-close": 40,
  "e2e/build-product": 35,
  "lint/lint": 150,
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

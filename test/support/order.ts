// The order of the test files: the slow ones first, so that no worker is left with one at the end.
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * Seconds that a file takes on two cores of a fresh machine, where it takes long. Before all others
 * come the files that build what others use, then those that use none of it.
 */
const SECONDS: Readonly<Record<string, number>> = {
  "e2e/build-product": 900,
  "c/library": 800,
  "e2e/build-again": 700,
  "lint/lint": 600,
  "e2e/docker": 130,
  "sdk/node/template": 125,
  "e2e/ci": 110,
  "sdk/rust/grpc": 105,
  "e2e/build-bad-input": 90,
  "e2e/build-package": 60,
  "e2e/engine-close": 80,
  "sdk/java/template": 80,
  "sdk/java/kafka": 70,
  "sdk/node/addon/sources": 70,
  "sdk/shared/languages": 60,
  "e2e/traps-worker": 45,
  "sdk/rust/package": 40,
  "e2e/engine-client-gone": 35,
  "sdk/python/calls": 35,
  "sdk/python/template": 35,
  "e2e/attach": 30,
  "e2e/engine-cancel": 30,
  "e2e/engine-hosting-life": 30,
  "e2e/glue": 30,
  "sdk/go/template": 30,
  "sdk/java/life": 30,
  "sdk/shared/native": 30,
};

/** The first file of these projects builds the OpenResty of the others. */
const FIRST: Readonly<Record<string, number>> = { asan: 1_000, attached: 300, valgrind: 25 };

export class SlowestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const nameOf = (file: TestSpecification) => file.project.config.name ?? "";
    const firstOf = new Map(sorted.toReversed().map((file) => [nameOf(file), file]));
    const weight = (file: TestSpecification) => {
      const isFirst = firstOf.get(nameOf(file)) === file;
      return (isFirst ? FIRST[nameOf(file)] : undefined) ?? secondsOf(file.moduleId);
    };
    // a process runs files of one project
    return sorted.toSorted((a, b) => weight(b) - weight(a) || nameOf(a).localeCompare(nameOf(b)));
  }
}

function secondsOf(path: string): number {
  const name = /\/test\/(.+)\.test\.ts$/.exec(path)?.[1] ?? "";
  return SECONDS[name] ?? 0;
}

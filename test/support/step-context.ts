// The context of a build step, for tests of a single step.
import type { StepContext } from "../../src/pipeline/step.js";

export interface RecordedStep extends StepContext {
  readonly notes: string[];
  readonly warnings: string[];
}

export function stepContext(overrides: Partial<StepContext> = {}): RecordedStep {
  const notes: string[] = [];
  const warnings: string[] = [];
  return {
    signal: new AbortController().signal,
    env: { PATH: process.env.PATH },
    note: (text) => notes.push(text),
    warn: (text) => warnings.push(text),
    log: () => {},
    run: () => Promise.reject(new Error("this test runs no program")),
    mustRun: () => Promise.reject(new Error("this test runs no program")),
    ...overrides,
    notes,
    warnings,
  };
}

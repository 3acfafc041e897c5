/**
 * The events of a running build. The build knows this interface only; the terminal, plain and other
 * renderers in src/ui implement it and decide what to show.
 */
import type { NffiError } from "../errors.js";

/** The steps of a build, in order, with what they do in words. */
export const STEPS = {
  resolve: "find the release and check the tools",
  fetch: "fetch the source",
  verify: "verify the source",
  extract: "extract the source",
  patch: "apply the patches",
  "install files": "add the C and Lua files of nffi",
  library: "build the shared-queue library",
  configure: "configure OpenResty",
  make: "compile OpenResty",
  "make install": "lay out the product in a staging directory",
  prove: "prove the product",
  install: "install the product",
} as const;

export type StepName = keyof typeof STEPS;

export interface Reporter {
  stepStarted(step: StepName): void;
  /** The current activity of the step; replaces the last note. */
  stepNote(step: StepName, note: string): void;
  /** Raw output of the programs that a step runs. */
  stepOutput(step: StepName, text: string): void;
  stepFinished(step: StepName, outcome: { note: string | undefined; durationMs: number }): void;
  stepFailed(step: StepName, error: NffiError): void;
  /** A warning; the build continues. `details` has the facts that it sums up. */
  warning(message: string, details?: readonly string[]): void;
  /** No step follows; the renderer releases the terminal. */
  close(): Promise<void>;
}

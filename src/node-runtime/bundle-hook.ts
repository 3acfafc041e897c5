/** The module hook that returns a bundle from memory; it runs in a separate thread. */

import type { LoadHook } from "node:module";

export interface Bundle {
  readonly url: string;
  readonly code: string;
}

let made: Bundle | undefined;

export function initialize(data: Bundle): void {
  made = data;
}

export const load: LoadHook = (url, context, nextLoad) =>
  url === made?.url
    ? { format: "module", source: made.code, shortCircuit: true }
    : nextLoad(url, context);

/**
 * Messages between the main thread and a worker thread of the pool. A task is named by its handle:
 * its request and its response do not pass through the main thread.
 */

import type { Compilation } from "./compiled-file.js";
import type { ProfileKind } from "./profile.js";
import type { Task } from "./task.js";

export type ToThread =
  | { readonly kind: "call"; readonly task: Task }
  | { readonly kind: "cancelled"; readonly task: Task }
  /** A stream has credit again. */
  | { readonly kind: "writable"; readonly task: Task }
  | { readonly kind: "profile"; readonly profile: ProfileKind }
  /** Calls under way are the last ones. */
  | { readonly kind: "closed" };

export type FromThread =
  | { readonly kind: "ready" }
  /** It cannot serve, and ends. */
  | { readonly kind: "failed"; readonly message: string; readonly detail: string }
  /** It is about to end; the calls that it has are lost. */
  | { readonly kind: "dying"; readonly reason: string }
  /** These were answered; with `started` it can take another. */
  | { readonly kind: "progress"; readonly started: boolean; readonly ended: readonly Task[] };

/** The data that a thread is created with. */
export interface ThreadData {
  /** From 1; the one that replaces another has its number. */
  readonly number: number;
  readonly module: string;
  readonly codec: "json" | "raw";
  readonly config: unknown;
  readonly profileFolder: string | undefined;
  /** The compiled TypeScript for the first threads; a replacement thread compiles it again. */
  readonly compiled: Compilation | undefined;
}

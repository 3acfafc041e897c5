/** One member of a pool: a thread, which is replaced when it ends, and the calls that it serves. */
import type { Worker } from "node:worker_threads";
import type { Task } from "./task.js";
import type { ToThread } from "./thread-messages.js";

const MIN_PAUSE_MS = 100;
const MAX_PAUSE_MS = 30_000;
const STEADY_MS = 60_000;

export interface Member {
  readonly number: number;
  readonly calls: Map<string, Task>;
  worker: Worker | undefined;
  isReady: boolean;
  /** It was handed a call that it has not started yet. */
  isTaken: boolean;
  /** When it became ready, of Date.now(). */
  since: number;
  /** Until the next start. */
  pauseMs: number;
  /** Why its last thread ended. */
  reason: string | undefined;
}

export function memberOf(number: number): Member {
  return {
    number,
    calls: new Map(),
    worker: undefined,
    isReady: false,
    isTaken: false,
    since: 0,
    pauseMs: 0,
    reason: undefined,
  };
}

/** Of the threads that can start a call, the one with the fewest calls. */
export function freeMember(members: readonly Member[]): Member | undefined {
  let found: Member | undefined;
  for (const member of members) {
    if (!member.isReady || member.isTaken) continue;
    if (found === undefined || member.calls.size < found.calls.size) found = member;
  }
  return found;
}

/** The pause before a thread that has just ended is replaced. */
export function nextPauseMs({ isReady, since, pauseMs }: Member): number {
  const isSteady = isReady && Date.now() - since >= STEADY_MS;
  return Math.min(Math.max(isSteady ? 0 : pauseMs * 2, MIN_PAUSE_MS), MAX_PAUSE_MS);
}

/** True if the thread serves or restarts soon, so queued calls can wait for it. */
export function isAvailableSoon({ isReady, pauseMs }: Member): boolean {
  return isReady || pauseMs <= MIN_PAUSE_MS;
}

export function send({ worker }: Member, message: ToThread): void {
  worker?.postMessage(message);
}

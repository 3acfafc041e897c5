/** When a failed request is tried again: after twice as long each time, and never in step. */
import { setTimeout as sleep } from "node:timers/promises";
import type { NffiError } from "../errors.js";

export interface Failure {
  readonly error: NffiError;
  /** Another try may succeed. */
  readonly passing: boolean;
  /** The delay that the server requested. */
  readonly waitMs?: number | undefined;
}

export interface RetryPolicy {
  readonly retries: number;
  readonly backoffMs: number;
  readonly signal: AbortSignal | undefined;
  onRetry(failure: NffiError, waitMs: number): void;
}

const MAX_WAIT_MS = 60_000;

/** Runs `attempt` until it succeeds, or fails in a way that a retry cannot fix. */
export async function retrying<T>(
  policy: RetryPolicy,
  attempt: () => Promise<{ value: T } | { failure: Failure }>,
): Promise<T> {
  for (let tried = 0; ; tried++) {
    const outcome = await attempt();
    if ("value" in outcome) return outcome.value;
    const { error, passing } = outcome.failure;
    const waitMs = outcome.failure.waitMs ?? backoff(policy.backoffMs, tried);
    if (!passing || tried >= policy.retries || waitMs > MAX_WAIT_MS) throw error;
    policy.onRetry(error, waitMs);
    await sleep(waitMs, undefined, { signal: policy.signal }).catch(() => {});
    policy.signal?.throwIfAborted();
  }
}

/** Between half of the step and all of it, so that many clients do not come back together. */
function backoff(baseMs: number, tried: number): number {
  return Math.min(baseMs * 2 ** tried, MAX_WAIT_MS / 2) * (0.5 + Math.random() / 2);
}

/** Retry-After: seconds or a date. */
export function retryAfterMs(header: string | undefined, now = Date.now()): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

// A response that flows through nginx to a client.
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "./nginx.js";

/** A client that reads one chunk of a response and then stops reading. */
export async function stalledClient(url: string): Promise<{ leave(): Promise<void> }> {
  const gone = new AbortController();
  const response = await fetch(url, { signal: gone.signal });
  const body = response.body?.getReader();
  await body?.read();
  return {
    async leave() {
      gone.abort();
      await body?.read().catch(() => {});
    },
  };
}

/** Waits until `sent` no longer grows: sockets and windows are full. */
export async function untilItStops(sent: () => Promise<number>): Promise<void> {
  let last = -1;
  await until(
    async () => {
      const before = last;
      last = await sent();
      await sleep(200);
      return last === before;
    },
    20_000,
    () => `still sending: ${last}`,
  );
}

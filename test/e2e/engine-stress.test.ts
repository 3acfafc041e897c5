// All kinds of faults concurrently for some seconds: calls and streams, in libraries and processes,
// with timeouts, errors, killed threads, disconnecting clients, closed runtimes, a process that
// dies and reloads, with random delays. No worker may crash, each call must return exactly once
// with its own response, and at the end no call waits and memory is at its earlier level. A seed
// determines the choices; the test prints it.
import { beforeAll, expect, test } from "vitest";
import {
  badLines,
  load,
  measureMemory,
  mixedLoad,
  SEED,
  untilNothingWaits,
} from "../support/mixed-load.js";
import { withNginx } from "../support/nginx.js";
import { anySuite, builtOpenresty, flavor } from "../support/openresty.js";

const SECONDS = 5;
const KEPT_BY_CLOSED = 1 << 20;

let prefix: string;

beforeAll(async () => {
  console.log(`stress: NFFI_TEST_SEED=${SEED} repeats its choices`);
  prefix = await builtOpenresty(anySuite);
});

test("calls, streams, timeouts, kills, aborts, closes, deaths and reloads together harm no worker", async () => {
  await withNginx(mixedLoad(prefix, 2), async (nginx) => {
    const reload = setInterval(() => nginx.signal("SIGHUP"), 1500);
    const seen = await load(nginx, { seconds: SECONDS, seed: SEED, gentle: false });
    clearInterval(reload);
    expect(seen.answered).toBeGreaterThan(100);
    expect(seen.aborted).toBeGreaterThan(20);
    expect([...seen.statuses]).toEqual([200]);
    // whichever worker answers
    for (let i = 0; i < 8; i++) await untilNothingWaits(nginx);
    expect(badLines(nginx)).toEqual([]);
  });
});

test("each call returns exactly once, and memory returns to its earlier level", async () => {
  await withNginx(mixedLoad(prefix, 1), async (nginx) => {
    await load(nginx, { seconds: SECONDS, seed: SEED + 1000, gentle: true });
    const before = await measureMemory(nginx);
    await load(nginx, { seconds: SECONDS, seed: SEED + 2000, gentle: true });
    const after = await measureMemory(nginx);
    expect(await nginx.get("/counts")).toMatch(/^0 of \d{3,}$/);
    expect(badLines(nginx)).toEqual([]);
    const growth = `seed ${SEED}: ${JSON.stringify(before)}, then ${JSON.stringify(after)}`;
    expect(after.lua - before.lua, growth).toBeLessThan(1 << 20);
    expect(after.node - before.node, growth).toBeLessThan(4 << 20);
    // AddressSanitizer keeps what was freed for a while; a native runtime that is closed keeps its
    // queue, which its threads may still use
    if (flavor === "release") {
      const kept = (after.closed - before.closed) * KEPT_BY_CLOSED;
      expect(after.resident - before.resident, growth).toBeLessThan((12 << 20) + kept);
    }
  });
});

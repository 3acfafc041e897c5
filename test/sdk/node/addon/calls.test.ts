// A real Node with the real program and addon, called by a C program that plays the worker.
import { afterEach, expect, test } from "vitest";
import { fixture, Host, stopHosts, untilTrue } from "./host.js";

afterEach(stopHosts);

test("a method gets JSON and its result comes back as JSON", async () => {
  const host = await Host.start(fixture("echo.mjs"));
  const value = { text: "grüße 日本 \u{1f600}", list: [1, 2.5, null, true], nested: { a: {} } };
  expect(await host.json("same", value)).toEqual(value);
  expect(await host.json("tick", value)).toEqual(value);
});

test("1,000 concurrent calls each get their own answer", async () => {
  const host = await Host.start(fixture("echo.mjs"));
  const calls = Array.from({ length: 1000 }, async (_, i) => {
    const value = { i, afterMs: (i * 7) % 50 };
    expect(await host.json(i % 3 === 0 ? "later" : "same", value)).toEqual(value);
  });
  await Promise.all(calls);
  expect(await host.state()).toEqual({ queued: 0, unanswered: 0, refused: 0 });
});

test("bytes of every value and no bytes at all come back as they were", async () => {
  const host = await Host.start(fixture("echo.mjs"));
  const all = Buffer.from(Array.from({ length: 1024 }, (_, i) => i & 255));
  expect(await host.bytes(all)).toEqual(all);
  expect(await host.bytes("")).toEqual(Buffer.alloc(0));
  expect(await host.bytes("\0")).toEqual(Buffer.from([0]));
});

test.each([4_095, 65_536, 262_143, 262_144, 262_145, 1_048_576, 5_000_000, 67_108_864])(
  "a payload of %i bytes comes back unchanged",
  async (size) => {
    const host = await Host.start(fixture("echo.mjs"));
    expect(await host.pattern(size)).toMatchObject({ rc: 0, hex: size < 4097 ? /./ : `#${size}` });
  },
);

test("concurrent large and small payloads do not disturb each other", async () => {
  const host = await Host.start(fixture("echo.mjs"));
  const sizes = Array.from({ length: 200 }, (_, i) => 4_097 + ((i * 37_337) % 700_000));
  const answers = await Promise.all(sizes.map((size) => host.pattern(size)));
  expect(answers.map(({ hex }) => hex)).toEqual(sizes.map((size) => `#${size}`));
});

test("a long text needs more bytes than it has characters", async () => {
  const host = await Host.start(fixture("results.mjs"));
  for (const length of [80_000, 100_000, 131_070, 3_000_000]) {
    // hex is shown for short responses only, so check the length: 2 bytes each and 2 quotes
    const { hex } = await host.call("longText", JSON.stringify({ length })).answer;
    expect(hex).toBe(`#${2 * length + 2}!`);
  }
});

test("timers run while requests keep coming", async () => {
  const host = await Host.start(fixture("busy.mjs"));
  const work = Array.from({ length: 10_000 }, () => host.call("work", "").answer);
  await Promise.any(work);
  const seen = await host.json("seen");
  await Promise.all(work);
  // 10,000 calls of 0.2 ms: a turn of 16 batches takes 0.2 s
  expect(seen).toBeGreaterThan(3);
});

test("closing lets running calls end, then the process ends", async () => {
  const host = await Host.start(fixture("echo.mjs"));
  const last = host.json("later", { afterMs: 200 });
  await host.json("same", 1);
  host.close();
  expect(await last).toEqual({ afterMs: 200 });
  await host.gone;
  expect(host.stderr).toBe("");
});

test("closing answers what was queued before", async () => {
  const host = await Host.start(fixture("echo.mjs"));
  const calls = Array.from({ length: 500 }, (_, i) => host.json("same", i));
  host.close();
  expect(await Promise.all(calls)).toEqual(Array.from({ length: 500 }, (_, i) => i));
  await host.gone;
});

test("answers sent in many turns leave nothing behind", async () => {
  const host = await Host.start(fixture("echo.mjs"));
  for (let round = 0; round < 50; round++) {
    await Promise.all(Array.from({ length: 100 }, (_, i) => host.json("same", { round, i })));
  }
  await untilTrue(async () => (await host.state()).unanswered === 0);
  expect((await host.state()).refused).toBe(0);
});

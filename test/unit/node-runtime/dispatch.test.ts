import { expect, test } from "vitest";
import { json, raw } from "../../../src/node-runtime/codec.js";
import { Dispatcher } from "../../../src/node-runtime/dispatch.js";
import { Methods } from "../../../src/node-runtime/methods.js";
import { Responses } from "../../../src/node-runtime/responses.js";
import { FakeAddon } from "./fake-addon.js";

function serve(exports: Record<string, unknown>, codec = json) {
  const addon = new FakeAddon();
  const responses = new Responses(addon.memory, addon);
  const served = { methods: new Methods("/m.ts", exports), codec, config: { a: 1 } };
  const dispatcher = new Dispatcher(addon, addon.memory, responses, served);
  return { addon, dispatcher };
}

test("quick responses are sent with one crossing", async () => {
  const { addon, dispatcher } = serve({ now: (n: number) => n, soon: async (n: number) => n });
  dispatcher.start(
    addon.put(
      { method: "now", bytes: "1" },
      { method: "soon", bytes: "2" },
      { method: "now", bytes: "3" },
    ),
  );
  await new Promise(setImmediate);
  expect(addon.flushes).toBe(1);
  expect(addon.sent.map(({ text }) => text).sort()).toEqual(["1", "2", "3"]);
});

test("inside a batch only the addon flushes", async () => {
  const { addon, dispatcher } = serve({ now: (n: number) => n });
  addon.memory.inBatch[0] = 1;
  dispatcher.start(addon.put({ method: "now", bytes: "1" }));
  await new Promise(setImmediate);
  expect(addon.flushes).toBe(0);
  expect(addon.memory.responsesUsed[0]).toBe(1);
});

test("a call that fails leaves its neighbours alone", async () => {
  const { addon, dispatcher } = serve({
    ok: () => "ok",
    bad: () => {
      throw new Error("bad");
    },
  });
  dispatcher.start(
    addon.put(
      { method: "ok", bytes: "" },
      { method: "bad", bytes: "" },
      { method: "ok", bytes: "" },
    ),
  );
  await new Promise(setImmediate);
  expect(addon.sent.map(({ text }) => text)).toEqual(['"ok"', "bad", '"ok"']);
  expect(addon.sent[1]?.detail).toContain("Error: bad");
});

test("a request without a method is raw, whatever the codec", async () => {
  const { addon, dispatcher } = serve({ default: (bytes: Buffer) => bytes.subarray(1) });
  dispatcher.start(addon.put({ bytes: "{not json" }));
  await new Promise(setImmediate);
  expect(addon.sent).toEqual([{ low: 1, text: "not json" }]);
});

test("a payload that found no room is asked for", async () => {
  const { addon, dispatcher } = serve({ size: (text: string) => text.length }, json);
  dispatcher.start(addon.put({ method: "size", bytes: JSON.stringify("x".repeat(1000)) }));
  await new Promise(setImmediate);
  expect(addon.sent).toEqual([{ low: 1, text: "1000" }]);
});

test("answers that do not fit are sent in several crossings, each in full", async () => {
  const { addon, dispatcher } = serve({ bytes: (b: Buffer) => b.toString().repeat(100) }, raw);
  dispatcher.start(addon.put(...["a", "b", "c", "d"].map((bytes) => ({ method: "bytes", bytes }))));
  await new Promise(setImmediate);
  expect(addon.sent.map(({ text }) => text)).toEqual(
    ["a", "b", "c", "d"].map((text) => text.repeat(100)),
  );
});

test("reports when no call is running", async () => {
  const { addon, dispatcher } = serve({ later: () => new Promise((done) => setImmediate(done)) });
  let idle = 0;
  dispatcher.onIdle = () => idle++;
  dispatcher.start(addon.put({ method: "later", bytes: "" }, { method: "none", bytes: "" }));
  expect(dispatcher.running).toBe(1);
  await new Promise((done) => setTimeout(done, 10));
  expect([dispatcher.running, idle]).toEqual([0, 1]);
});

test("a handler gets config, deadline and a signal", async () => {
  let seen: unknown;
  const { addon, dispatcher } = serve({
    look: (_: unknown, { config, deadline, signal }: Record<string, unknown>) => {
      seen = { config, deadline, aborted: (signal as AbortSignal).aborted };
    },
  });
  addon.cancelled.add(1);
  dispatcher.start(addon.put({ method: "look", bytes: "", deadline: 1234.4 }));
  expect(seen).toEqual({ config: { a: 1 }, deadline: 1235, aborted: true });
});

test("a call that is cancelled while others of its batch hold Node up is not started", async () => {
  const started: string[] = [];
  const { addon, dispatcher } = serve({
    slow: () => {
      const end = Date.now() + 3;
      while (Date.now() < end);
      addon.cancelled.add(2);
    },
    mark: (name: string) => void started.push(name),
  });
  dispatcher.start(
    addon.put(
      { method: "slow", bytes: "" },
      { method: "mark", bytes: '"cancelled"' },
      { method: "mark", bytes: '"awaited"' },
    ),
  );
  await new Promise(setImmediate);
  expect(started).toEqual(["awaited"]);
  expect(addon.sent.map(({ low }) => low)).toEqual([1, 2, 3]);
  expect(dispatcher.running).toBe(0);
});

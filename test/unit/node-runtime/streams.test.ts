import { AsyncResource } from "node:async_hooks";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { json, raw } from "../../../src/node-runtime/codec.js";
import { Streams, sourceOf } from "../../../src/node-runtime/streams.js";
import { FakeAddon } from "./fake-addon.js";

const TASK = { low: 1, high: 0 };

function serve(result: unknown, { codec = json, stream = true, credit = 1_000_000 } = {}) {
  const addon = new FakeAddon();
  const controller = new AbortController();
  const streams = new Streams(addon);
  const scope = new AsyncResource("test", { requireManualDestroy: true });
  const source = sourceOf(result);
  if (source === undefined) throw new Error("no source");
  if (stream) addon.streams.add(1);
  addon.credit = credit;
  const { signal } = controller;
  const served = streams.serve(TASK, { source, codec, signal, scope });
  const cancel = () => {
    addon.cancelled.add(1);
    streams.writable(TASK);
    controller.abort();
  };
  return { addon, streams, served, cancel };
}

const turn = () => new Promise(setImmediate);

async function* three() {
  yield 1;
  await turn();
  yield { two: 2 };
  yield undefined;
}

test("each value that is yielded is a chunk, then the stream ends", async () => {
  const { addon, served } = serve(three());
  expect(await served).toBeUndefined();
  expect(addon.written).toEqual(["1:1\n", '1:{"two":2}\n', "1:null\n", "1 end"]);
});

test("generators, web streams and Readables are streams; lists, maps, bytes are values", async () => {
  function* sync() {
    yield "a";
    yield Promise.resolve("b");
  }
  for (const result of [sync(), Readable.from(["a", "b"]), new Blob(["ab"]).stream()]) {
    const { addon, served } = serve(result, { codec: raw });
    await served;
    expect(addon.written.join("").replaceAll("1:", "")).toBe("ab1 end");
  }
  for (const value of [[1], new Map(), new Set(), "text", Buffer.from("x"), {}, null, 1]) {
    expect(sourceOf(value)).toBeUndefined();
  }
});

test("nothing is asked for without credit", async () => {
  let asked = 0;
  async function* endless() {
    for (;;) yield ++asked;
  }
  const { addon, streams, served, cancel } = serve(endless(), { credit: 3 });
  await turn();
  expect([asked, addon.written.length]).toEqual([3, 3]);
  addon.credit = 2;
  streams.writable(TASK);
  await turn();
  expect([asked, addon.written.length]).toEqual([5, 5]);
  cancel();
  await served;
  expect(addon.written.at(-1)).toBe("1 end");
});

test("a reader that goes ends the generator, while it waits for credit or works", async () => {
  const seen: string[] = [];
  async function* careful() {
    try {
      for (;;) {
        yield "x";
        await new Promise((done) => setTimeout(done, 20));
      }
    } finally {
      await turn();
      seen.push("finally");
    }
  }
  for (const credit of [1, 1_000_000]) {
    const { served, cancel, addon } = serve(careful(), { credit });
    await turn();
    cancel();
    await served;
    seen.push(addon.written.at(-1) as string);
  }
  expect(seen).toEqual(["finally", "1 end", "finally", "1 end"]);
});

test("what a generator throws, or what cannot be sent, is the failure of the call", async () => {
  let ended = 0;
  async function* failing() {
    yield 1;
    throw new Error("no luck");
  }
  function* unsendable() {
    try {
      yield 1n;
    } finally {
      ended++;
    }
  }
  await expect(serve(failing()).served).rejects.toThrow("no luck");
  await expect(serve(unsendable()).served).rejects.toThrow("BigInt");
  expect(ended).toBe(1);
});

test("the chunks of a plain call are a list of the values, or the bytes", async () => {
  function* bytes() {
    yield "gr\u00fc";
    yield Buffer.from("n");
  }
  function* none() {}
  for (const [result, codec, chunks] of [
    [three(), json, ["1:[1", '1:,{"two":2}', "1:,null", "1:]", "1 end"]],
    [none(), json, ["1:[]", "1 end"]],
    [bytes(), raw, ["1:gr\u00fc", "1:n", "1 end"]],
  ] as const) {
    const { addon, served } = serve(result, { stream: false, codec });
    await served;
    expect(addon.written).toEqual(chunks);
  }
});

test("a chunk that cannot be sent ends the generator and fails the call", async () => {
  let ended = false;
  function* endless() {
    try {
      for (;;) yield "x";
    } finally {
      ended = true;
    }
  }
  const { addon, served } = serve(endless(), { stream: false, codec: raw });
  addon.write = () => {
    throw new Error("the chunk cannot be sent: too large");
  };
  await expect(served).rejects.toThrow("too large");
  expect([ended, addon.written]).toEqual([true, []]);
});

test("a fast reader does not keep timers from running", async () => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  function* many() {
    for (let i = 0; i < 20_000; i++) yield i;
  }
  await serve(many()).served;
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(0);
});

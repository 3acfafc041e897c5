// Responses in chunks from a real Node. A C program plays the worker, reads them and grants credit.
import { afterEach, expect, test } from "vitest";
import { fixture, Host, type Stream, stopHosts, untilTrue } from "./host.js";

afterEach(stopHosts);

/** Bytes of a text as a chunk: two quotes and a newline. */
const FRAME = 3;

const textOf = ({ chunks }: Stream) => chunks.map((hex) => Buffer.from(hex, "hex").toString());

test("chunks arrive in order, then the end", async () => {
  const host = await Host.start(fixture("stream.mjs"));
  const stream = host.stream("count", 5);
  expect(await stream.answer).toEqual({ rc: 0, hex: "" });
  expect(textOf(stream)).toEqual(["0\n", "1\n", "2\n", "3\n", "4\n"]);
  expect(host.logs).toEqual([`${stream.id} 4 ended`]);
});

test("a generator stops without credit and goes on with it", async () => {
  const host = await Host.start(fixture("stream.mjs"));
  const stream = host.stream("count", 100);
  await untilTrue(() => stream.chunks.length === 8);
  expect(await host.json("seen")).toEqual({ asked: 8, ended: [] });
  for (let read = 0; read < 100; read++) {
    await untilTrue(() => stream.chunks.length > read);
    host.credit(stream, read < 10 ? 1 : 2);
  }
  await stream.answer;
  expect(textOf(stream)).toEqual(Array.from({ length: 100 }, (_, i) => `${i}\n`));
});

test("bytes are bounded, but for one chunk, which may be larger than the memory", async () => {
  const host = await Host.start(fixture("stream.mjs"));
  const list = [10, 5_000_000, 1, 70_000, 300_000];
  const stream = host.stream("sizes", list, 1000);
  for (const [index, size] of list.entries()) {
    await untilTrue(() => stream.chunks.length > index);
    host.credit(stream, size + FRAME);
  }
  await stream.answer;
  const sizes = stream.chunks.map((hex) =>
    hex[0] === "#" ? Number.parseInt(hex.slice(1), 10) : hex.length / 2,
  );
  expect(sizes).toEqual(list.map((size) => size + FRAME));
});

test("a stream that is cancelled ends its generator, while it waits for credit, too", async () => {
  const host = await Host.start(fixture("stream.mjs"));
  const stream = host.stream("count", 1_000_000);
  await untilTrue(() => stream.chunks.length === 8);
  host.cancel(stream);
  await untilTrue(async () => (await host.state()).unanswered === 0);
  expect(await host.json("seen")).toEqual({ asked: 8, ended: [1_000_000] });
  expect(host.logs).toEqual(["0 4 ended"]);
});

test("an error follows the chunks; calls collect", async () => {
  const host = await Host.start(fixture("stream.mjs"));
  const stream = host.stream("fail", null);
  await expect(stream.answer).rejects.toThrow("no luck");
  expect(textOf(stream)).toEqual(["1\n"]);
  expect(await host.json("count", 4)).toEqual([0, 1, 2, 3]);
  await expect(host.json("fail")).rejects.toThrow("no luck");
});

test("a process that is closed serves its streams to the end, then ends", async () => {
  const host = await Host.start(fixture("stream.mjs"));
  const stream = host.stream("count", 40);
  await untilTrue(() => stream.chunks.length === 8);
  host.close();
  for (let read = 0; read < 40; read++) {
    await untilTrue(() => stream.chunks.length > read);
    host.credit(stream, read < 10 ? 1 : 2);
  }
  await stream.answer;
  await host.gone;
  expect(host.stderr).toBe("");
});

// Results that a handler may and may not return. An invalid result fails only its own call.
import { createHash } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { CallFailure, fixture, Host, stopHosts } from "./host.js";

afterEach(stopHosts);

async function failureOf(call: Promise<unknown>): Promise<CallFailure> {
  const failure = await call.then(() => undefined).catch((error: unknown) => error);
  if (!(failure instanceof CallFailure)) throw new Error(`no failure but ${failure}`);
  return failure;
}

describe("a method with the codec json", () => {
  test("returns null for nothing", async () => {
    const host = await Host.start(fixture("results.mjs"));
    expect(await host.json("nothing")).toBe(null);
    expect(await host.json("aNull")).toBe(null);
  });

  test.each([
    ["bigint", /cannot become JSON: .*BigInt/],
    ["cycle", /cannot become JSON: .*circular/],
    ["bytes", /cannot become JSON: it is an object \(Buffer\).*codec = "raw"/],
    ["aFunction", /cannot become JSON: it is a function/],
  ])("fails when its result is a %s", async (method, message) => {
    const host = await Host.start(fixture("results.mjs"));
    const fine = host.json("text");
    expect((await failureOf(host.json(method))).message).toMatch(message);
    expect(await fine).toBe("ok");
  });

  test("fails when the request is not JSON, or not UTF-8", async () => {
    const host = await Host.start(fixture("results.mjs"));
    const broken = host.call("text", "{nope").answer;
    expect((await failureOf(broken)).message).toMatch(/^the request is not JSON: .*nope|position/);
    const bytes = host.call("text", Buffer.from([0x22, 0xff, 0x22])).answer;
    expect((await failureOf(bytes)).message).toBe("the request is not UTF-8");
  });

  test.each([
    ["ASCII", "a"],
    ["two bytes a character", "ü"],
    ["four bytes a character", "😀"],
    ["the replacement character", "\ufffd"],
    ["byte order marks", "\ufeff"],
  ])("takes a large text of %s unchanged", async (_, character) => {
    const host = await Host.start(fixture("results.mjs"));
    for (const text of [character.repeat(50_000), `${"a".repeat(50_000)}${character}`]) {
      const digest = createHash("sha256").update(text).digest("hex");
      expect(await host.json("digest", text)).toBe(digest);
    }
  });

  test("fails when a large request is not UTF-8, wherever that is", async () => {
    const host = await Host.start(fixture("results.mjs"));
    for (const at of [1, 20_001, 49_999]) {
      const bytes = Buffer.alloc(50_001, '"').fill("a", 1, 50_000);
      bytes[at] = 0xff;
      const failure = await failureOf(host.call("digest", bytes).answer);
      expect(failure.message).toBe("the request is not UTF-8");
    }
  });

  test("may be unknown: the message lists the existing ones", async () => {
    const host = await Host.start(fixture("echo.mjs"));
    expect((await failureOf(host.json("nope"))).message).toBe(
      `unknown method "nope" in ${fixture("echo.mjs")}; methods: later, same, tick`,
    );
    expect((await failureOf(host.json("__proto__"))).message).toMatch(
      /^unknown method "__proto__"/,
    );
    expect((await failureOf(host.json("default"))).message).toMatch(/^unknown method "default"/);
  });
});

describe("with the codec raw", () => {
  test("bytes and texts go out as they are", async () => {
    const host = await Host.start(fixture("raw.mjs"), { codec: "raw" });
    expect(await host.bytes(Buffer.from([1, 0, 255]), "bytes")).toEqual(Buffer.from([255, 0, 1]));
    expect((await host.bytes("abc", "text")).toString()).toBe("got 3 bytes, ü");
    expect(await host.bytes("abc", "nothing")).toEqual(Buffer.alloc(0));
    expect((await host.bytes("", "shared")).toString()).toBe("AAA");
  });

  test("another result fails its call", async () => {
    const host = await Host.start(fixture("raw.mjs"), { codec: "raw" });
    expect((await failureOf(host.bytes("", "number"))).message).toBe(
      "the result must be a string or bytes, but is a number",
    );
    expect((await failureOf(host.bytes("", "detached"))).message).toMatch(/transferred/);
  });

  test("a request may be kept after the answer", async () => {
    const host = await Host.start(fixture("raw.mjs"), { codec: "raw" });
    await host.bytes("kept for ever", "keep");
    await Promise.all(Array.from({ length: 200 }, () => host.bytes("other bytes", "bytes")));
    expect((await host.bytes("", "returnKept")).toString()).toBe("kept for ever");
  });

  test("a request without a method needs a default export", async () => {
    const host = await Host.start(fixture("raw.mjs"), { codec: "raw" });
    expect((await failureOf(host.bytes("x"))).message).toMatch(/needs a default export/);
  });
});

describe("a handler that fails", () => {
  test.each([
    ["thrown", "not today"],
    ["rejected", "not later either"],
    ["text", "only a text"],
    ["nothing", "undefined was thrown"],
    ["hostile", "something was thrown that cannot be described"],
    ["hostileThenable", "then?"],
    ["deep", "Maximum call stack size exceeded"],
  ])("by %s fails its call with the message", async (method, message) => {
    const host = await Host.start(fixture("failing.mjs"));
    const fine = host.json("fine");
    expect((await failureOf(host.json(method))).message).toBe(message);
    expect(await fine).toBe("fine");
    expect(await host.json("fine")).toBe("fine");
  });

  test("has its stack as detail, without frames of the runtime", async () => {
    const host = await Host.start(fixture("failing.mjs"));
    const { detail } = await failureOf(host.json("thrown"));
    expect(detail).toMatch(/^RangeError: not today\n {4}at thrown \(file:.*failing\.mjs:3:9\)$/);
    expect((await failureOf(host.json("caused"))).detail).toMatch(
      /outer[\s\S]*\[cause\]: Error: inner/,
    );
  });
});

// The handlers alone: plain functions, no nginx needed.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Context } from "@nffi/runtime";
import { hello, wait } from "./handlers.js";

const log = { ...console, notice: console.info };

function context(signal = new AbortController().signal): Context {
  return { signal, deadline: undefined, config: undefined, log };
}

test("hello greets by name", async () => {
  assert.deepEqual(await hello({ name: "Ada" }, context()), { greeting: "hello Ada" });
});

test("hello refuses an empty name", () => {
  assert.throws(() => hello({ name: " " }, context()), /the name is empty/);
});

test("wait ends when its call is cancelled", async () => {
  const abort = new AbortController();
  const waiting = wait({ ms: 60_000 }, context(abort.signal));
  abort.abort();
  await assert.rejects(async () => waiting, { name: "AbortError" });
});

// The handlers alone: plain functions, no nginx needed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { testContext } from "@nffi/runtime";
import { hello, wait } from "./handlers.js";

test("hello greets by name", async () => {
  assert.deepEqual(await hello({ name: "Ada" }, testContext()), { greeting: "hello Ada" });
});

test("hello refuses an empty name", () => {
  assert.throws(() => hello({ name: " " }, testContext()), /the name is empty/);
});

test("wait ends when its call is cancelled", async () => {
  const abort = new AbortController();
  const waiting = wait({ ms: 60_000 }, testContext({ signal: abort.signal }));
  abort.abort();
  await assert.rejects(async () => waiting, { name: "AbortError" });
});

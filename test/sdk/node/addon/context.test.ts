// The context of handlers: it has the data of their call and none of another call.
import { afterEach, expect, test } from "vitest";
import { fixture, Host, stopHosts, untilTrue } from "./host.js";

afterEach(stopHosts);

test("a cancelled call aborts its signal", async () => {
  const host = await Host.start(fixture("context.mjs"));
  const calls = Array.from({ length: 150 }, (_, i) => host.call("untilAborted", `"call ${i}"`));
  await host.json("abortedCalls");
  for (const call of calls.slice(0, 149)) host.cancel(call);
  // asked of the host: a further call would wake the runtime
  await untilTrue(async () => (await host.state()).unanswered === 1);
  expect(await host.json("abortedCalls")).toContain("call 148: AbortError");
});

test("a signal that is asked for after the cancellation is aborted already", async () => {
  const host = await Host.start(fixture("context.mjs"));
  const call = host.call("lateSignal", '"late"');
  await host.json("abortedCalls");
  host.cancel(call);
  await untilTrue(async () => ((await host.json("abortedCalls")) as string[]).length === 1);
  expect(await host.json("abortedCalls")).toEqual(["late: true"]);
});

test("a call that still runs after the queue was closed hears of its cancellation", async () => {
  const host = await Host.start(fixture("context.mjs"), {
    nodeArgs: ["--import", "data:text/javascript,setInterval(()=>{},1000)"],
  });
  const call = host.call("untilAborted", '"last"');
  await host.json("abortedCalls");
  host.close();
  await new Promise((resolve) => setTimeout(resolve, 100));
  host.cancel(call);
  await host.gone;
});

test("a deadline is in the time of Date.now()", async () => {
  const host = await Host.start(fixture("context.mjs"));
  expect(await host.json("deadline")).toBe(null);
  const { hex } = await host.call("deadline", "", 5000).answer;
  const left = Number(Buffer.from(hex, "hex").toString());
  expect(left).toBeGreaterThan(3000);
  expect(left).toBeLessThanOrEqual(5001);
});

test("the configuration reaches every call, and no child process of the module", async () => {
  const config = { secret: "s", nested: [1, { a: "ü\n" }] };
  const host = await Host.start(fixture("context.mjs"), { config });
  expect(await host.json("config")).toEqual(config);
  expect(await host.json("environment")).toEqual(["PATH"]);
});

test("what a call or the module enters into AsyncLocalStorage reaches no other call", async () => {
  const host = await Host.start(fixture("context.mjs"));
  const calls = Array.from({ length: 100 }, (_, i) => host.json("enterStorage", i));
  expect(new Set(await Promise.all(calls))).toEqual(new Set([null]));
});

test("console output carries its level on each line", async () => {
  const host = await Host.start(fixture("output.mjs"));
  await host.json("print");
  await untilTrue(() => host.stderr.includes("careful") && host.stdout.includes("finished\n"));
  expect(host.stdout).toBe(
    "[debug] a debug line\n[info] an info line\n" +
      "[notice] first\n[notice] second\nunfinished\n[notice] finished\n",
  );
  expect(host.stderr).toMatch(/^\[warn] a warning\n\[error] Error: an error\n\[error] {5}at/);
  expect(host.stderr).toMatch(/\n\[warn] Warning: careful\n$/);
});

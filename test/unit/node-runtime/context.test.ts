import { expect, test } from "vitest";
import { CallContext, Cancellations } from "../../../src/node-runtime/context.js";
import { testContext } from "../../../src/node-runtime/handler.js";
import { Logs } from "../../../src/node-runtime/log.js";

const TASK = { low: 1, high: 2 };

function contextOf(cancelled: boolean, deadline?: number) {
  const cancellations = new Cancellations({ isCancelled: () => cancelled });
  return {
    cancellations,
    context: new CallContext(
      { ...TASK, method: "hello", deadline },
      {},
      cancellations,
      new Logs({ log: () => 0 }),
    ),
  };
}

test("a signal aborts when its own call is cancelled", () => {
  const { cancellations, context } = contextOf(false);
  const { signal } = context;
  cancellations.cancel({ low: 2, high: 1 });
  expect(signal.aborted).toBe(false);
  cancellations.cancel(TASK);
  expect(signal.aborted).toBe(true);
  expect(signal.reason).toMatchObject({ name: "AbortError" });
  expect(context.signal).toBe(signal);
});

test("a signal that is asked for after the cancellation has aborted", () => {
  expect(contextOf(true).context.signal.aborted).toBe(true);
});

test("a call is not notified after its response", () => {
  const { cancellations, context } = contextOf(false);
  const { signal } = context;
  context.answered();
  cancellations.cancel(TASK);
  expect(signal.aborted).toBe(false);

  const late = contextOf(true).context;
  late.answered();
  expect(late.signal.aborted).toBe(false);
});

test("the time left is what remains until the deadline, and never negative", () => {
  expect(contextOf(false).context.timeLeft).toBeUndefined();
  expect(contextOf(false, Date.now() - 5).context.timeLeft).toBe(0);
  const left = contextOf(false, Date.now() + 1000).context.timeLeft;
  expect(left).toBeGreaterThan(500);
  expect(left).toBeLessThanOrEqual(1000);
});

test("an action runs once when the call is cancelled, unless it was unregistered", () => {
  const { cancellations, context } = contextOf(false);
  const ran: string[] = [];
  context.onCancel(() => ran.push("first"));
  context.onCancel(() => {
    throw new Error("not the end of the process");
  });
  context.onCancel(() => ran.push("unregistered"))();
  context.onCancel(() => ran.push("last"));
  cancellations.cancel(TASK);
  cancellations.cancel(TASK);
  expect(ran).toEqual(["first", "last"]);
});

test("an action of a call that is cancelled runs immediately, and none after the response", () => {
  const ran: string[] = [];
  contextOf(true).context.onCancel(() => ran.push("now"));
  const { cancellations, context } = contextOf(false);
  expect(context.cancelled).toBe(false);
  context.onCancel(() => ran.push("too late"));
  context.answered();
  cancellations.cancel(TASK);
  expect(context.cancelled).toBe(true);
  expect(ran).toEqual(["now"]);
});

test("a context for tests follows its signal, and has what it is given", () => {
  const abort = new AbortController();
  const context = testContext({ signal: abort.signal, config: { region: "eu" } });
  const ran: string[] = [];
  context.onCancel(() => ran.push("cancelled"));
  context.onCancel(() => ran.push("unregistered"))();
  expect([context.cancelled, context.config.region]).toEqual([false, "eu"]);
  abort.abort();
  context.onCancel(() => ran.push("now"));
  expect([context.cancelled, ran]).toEqual([true, ["cancelled", "now"]]);
});

test("an action that throws what cannot be formatted keeps no other from running", () => {
  const { cancellations, context } = contextOf(false);
  const ran: string[] = [];
  const odd = { [Symbol.for("nodejs.util.inspect.custom")]: () => expect.fail("no luck") };
  context.onCancel(() => {
    throw odd;
  });
  context.onCancel(() => {
    throw null;
  });
  context.onCancel(() => ran.push("last"));
  expect(() => cancellations.cancel(TASK)).not.toThrow();
  expect(ran).toEqual(["last"]);
  // thrown in a listener, it would be an uncaught error
  const late = contextOf(true).context;
  expect(() =>
    late.onCancel(() => {
      throw odd;
    }),
  ).not.toThrow();
});

import { expect, test } from "vitest";
import { CallContext, Cancellations } from "../../../src/node-runtime/context.js";
import { Logs } from "../../../src/node-runtime/log.js";

function contextOf(cancelled: boolean) {
  const cancellations = new Cancellations({ isCancelled: () => cancelled });
  return {
    cancellations,
    context: new CallContext(1, 2, undefined, {}, cancellations, new Logs({ log: () => 0 })),
  };
}

test("a signal aborts when its own call is cancelled", () => {
  const { cancellations, context } = contextOf(false);
  const { signal } = context;
  cancellations.cancel(2, 1);
  expect(signal.aborted).toBe(false);
  cancellations.cancel(1, 2);
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
  cancellations.cancel(1, 2);
  expect(signal.aborted).toBe(false);

  const late = contextOf(true).context;
  late.answered();
  expect(late.signal.aborted).toBe(false);
});

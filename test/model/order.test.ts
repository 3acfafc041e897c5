import { describe, expect, test } from "vitest";
import { codeBelow } from "../support/code.js";
import { explore, type Model } from "./explore.js";
import {
  chunksModel,
  creditOrderModel,
  endModel,
  mutexModel,
  noteModel,
  ringModel,
  type Weaker,
} from "./order-model.js";
import type { Order } from "./weak-program.js";

type Weakened = (weaker?: Weaker) => Model;

const ring: Weakened = (weaker) => ringModel(1, weaker);

const ringOnWord: Weakened = (weaker) => ringModel(1, weaker, true);

const MODELS: Record<string, Weakened> = {
  "a ring with room for one entry": ring,
  "a ring with room for all": (weaker) => ringModel(2, weaker),
  "a ring whose consumer sleeps on the word": ringOnWord,
  "two such entries": (weaker) => ringModel(2, weaker, true),
  "two threads of a runtime": mutexModel,
  "chunks of a stream": chunksModel,
  "credit of a stream": creditOrderModel,
  "notes about a stream": noteModel,
  "the end": endModel,
};

const walked = new Set<string>();

describe("with the orders of the code nothing is lost and no data race", () => {
  test.each(Object.entries(MODELS))("%s", (_, model) => {
    const { moves, fault } = explore(model());
    expect(fault).toBeUndefined();
    for (const move of moves) walked.add(move);
  });
});

const LOST = "an entry waits for ever";
const RACE = "a data race";
const CHUNK = "a chunk waits for ever";
const WRITER = "a writer waits for ever";
const CANCELLATION = "a cancellation waits for ever";

/** Each access, an order that is too weak for it, the model that shows it, and the fault. */
const TOO_WEAK: readonly (readonly [string, Order, Weakened, string])[] = [
  ["nffi__ring_publish: tail", "release", ring, LOST],
  ["nffi__ring_publish: tail", "relaxed", ring, RACE],
  ["nffi__ring_waiting: tail", "acquire", ring, LOST],
  ["nffi__ring_waiting: tail", "relaxed", ring, RACE],
  ["nffi__announce_parked", "release", ring, LOST],
  ["nffi__must_wake: load", "acquire", ring, LOST],
  ["nffi__announce_parked", "release", ringOnWord, LOST],
  ["nffi__must_wake: load", "acquire", ringOnWord, LOST],
  ["nffi__ring_consume: head", "relaxed", ring, RACE],
  ["nffi__ring_full: head", "relaxed", ring, RACE],
  ["pthread_mutex_lock", "relaxed", mutexModel, RACE],
  ["pthread_mutex_unlock", "relaxed", mutexModel, RACE],
  ["write_chunk: chunks_written", "relaxed", chunksModel, RACE],
  ["read_done: chunks_written", "relaxed", chunksModel, RACE],
  ["nffi__announce: announced", "acquire", chunksModel, CHUNK],
  ["read_done: announced", "release", chunksModel, CHUNK],
  ["take_credit: chunks_read, first", "relaxed", creditOrderModel, RACE],
  ["take_credit: chunks_read, again", "acquire", creditOrderModel, WRITER],
  ["nffi__has_credit: blocked", "release", creditOrderModel, WRITER],
  ["nffi_host_credit: chunks_read", "release", creditOrderModel, WRITER],
  ["nffi_host_credit: chunks_read", "relaxed", creditOrderModel, RACE],
  ["nffi_host_credit: blocked", "acquire", creditOrderModel, WRITER],
  ["nffi__host_note: noted", "acquire", noteModel, CANCELLATION],
  ["take_note: noted", "release", noteModel, CANCELLATION],
  ["nffi_host_close: closed", "relaxed", endModel, "a task waits for ever"],
  ["at_end: closed", "relaxed", endModel, "a task waits for ever"],
];

describe("a fault is found with a weaker order of", () => {
  test.each(TOO_WEAK)("%s: %s", (access, order, model, fault) => {
    expect(explore(model({ access, order })).fault?.what).toBe(fault);
  });
});

/** Stronger in the code than they must be; it costs nothing, since each is followed by a call. */
const STRONGER: readonly (readonly [string, Order, Weakened])[] = [
  ["nffi__must_wake: exchange", "relaxed", ring],
  ["nffi__must_wake: exchange", "relaxed", ringOnWord],
  ["nffi_host_credit: exchange", "relaxed", creditOrderModel],
];

test.each(STRONGER)("%s would do with %s", (access, order, model) => {
  expect(explore(model({ access, order })).fault).toBeUndefined();
});

test("every access is named after a function of the code", () => {
  const code = codeBelow("c-src/lib");
  const accesses = [...TOO_WEAK, ...STRONGER].map(([access]) => access);
  const names = [...walked, ...accesses].flatMap((name) => name.match(/\b\w+_\w+\b/g) ?? []);
  expect(names.length).toBeGreaterThan(50);
  expect(names.filter((name) => !code.includes(name))).toEqual([]);
});

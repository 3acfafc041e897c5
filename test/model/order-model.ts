// The accesses of both sides to the shared memory, as programs for weak-memory.ts: the rings and
// the wake-up of region.h, chunks, credit and notes of streams, the mutex between threads of a
// runtime, and the end. Each access has the memory order that it has in the code; `weaken` replaces
// one.
import type { Model } from "./explore.js";
import { weakModel } from "./weak-memory.js";
import type { Order, Registers, Step } from "./weak-program.js";

/** An access of the code, and the memory order that replaces its real one. */
export interface Weaker {
  readonly access: string;
  readonly order: Order;
}

type Orders = (access: string, order: Order) => Order;

const ordersOf =
  (weaker?: Weaker): Orders =>
  (access, order) =>
    weaker?.access === access ? weaker.order : order;

const number = (registers: Registers, name: string) => registers[name] as number;

/** nffi__ring_publish, then nffi__must_wake and the write to an eventfd. */
function publish(o: Orders, ring: string, parked: string, fd: string, to: number): Step[] {
  const end = `${ring} ${to}: awake`;
  return [
    {
      name: "nffi__ring_publish",
      store: ring,
      value: to,
      order: o("nffi__ring_publish: tail", "seq_cst"),
    },
    ...mustWake(o, parked, fd, end),
    { label: end },
  ];
}

function mustWake(o: Orders, parked: string, fd: string, end: string): Step[] {
  return [
    {
      name: "nffi__must_wake: load",
      load: parked,
      into: "b",
      order: o("nffi__must_wake: load", "seq_cst"),
    },
    { goto: end, when: (r) => r.b === 0 },
    {
      name: "nffi__must_wake: exchange",
      exchange: parked,
      value: 0,
      into: "b",
      order: o("nffi__must_wake: exchange", "seq_cst"),
    },
    { goto: end, when: (r) => r.b === 0 },
    { name: "write to the eventfd", exchange: fd, value: 1, into: "b", order: "acq_rel" },
  ];
}

const waiting = (o: Orders, ring: string): Step => ({
  name: "nffi__ring_waiting",
  load: ring,
  into: "a",
  order: o("nffi__ring_waiting: tail", "seq_cst"),
});

/** Nothing in the ring (its head is in `n`): announces, looks again, sleeps, and goes to `loop`. */
function park(o: Orders, ring: string, parked: string, fd: string): Step[] {
  return [
    {
      name: "nffi__announce_parked",
      store: parked,
      value: 1,
      order: o("nffi__announce_parked", "seq_cst"),
    },
    waiting(o, ring),
    { goto: "revoke", when: (r) => r.a !== r.n },
    { name: "sleep", exchange: fd, value: 0, into: "b", order: "acq_rel", waits: true },
    { label: "revoke" },
    { name: "nffi__revoke_parked", store: parked, value: 0, order: "relaxed" },
    { goto: "loop" },
  ];
}

const next = (registers: Registers) => {
  registers.n = number(registers, "n") + 1;
};

/**
 * The same, asleep on the word itself. nffi__word_wait returns when the word has changed, and
 * nffi__word_wake changes no memory. Neither orders anything here, so only the word can.
 */
function parkOnWord(o: Orders, ring: string, parked: string): Step[] {
  const steps = park(o, ring, parked, parked);
  return steps.map((step) =>
    "name" in step && step.name === "sleep"
      ? {
          ...{ name: "nffi__word_wait", load: parked, into: "b" },
          ...{ order: "relaxed" as const, until: 0 },
        }
      : step,
  );
}

/** A ring whose producer asks for room, and whose consumer sleeps: region.h. */
export function ringModel(capacity: number, weaker?: Weaker, onWord = false): Model {
  const o = ordersOf(weaker);
  const entry = (n: number) => `entry${n % capacity}`;
  const produce = (k: number): Step[] => [
    {
      name: "nffi__ring_full: head",
      load: "head",
      into: "c",
      order: o("nffi__ring_full: head", "acquire"),
    },
    { goto: "end", when: (r) => k - number(r, "c") >= capacity },
    { name: "the entry", write: entry(k), value: k + 1 },
    ...publish(o, "tail", "parked", "fd", k + 1).filter(
      (step) => !onWord || !("name" in step && step.name === "write to the eventfd"),
    ),
  ];
  const consumer: Step[] = [
    { label: "loop" },
    waiting(o, "tail"),
    { goto: "idle", when: (r) => r.a === r.n },
    { name: "the entry", read: (r) => entry(number(r, "n")), into: "c" },
    { check: (r) => (r.c === number(r, "n") + 1 ? undefined : "an entry is not the one") },
    { set: next },
    {
      name: "nffi__ring_consume",
      store: "head",
      value: (r) => number(r, "n"),
      order: o("nffi__ring_consume: head", "release"),
    },
    { goto: "loop" },
    { label: "idle" },
    ...(onWord ? parkOnWord(o, "tail", "parked") : park(o, "tail", "parked", "fd")),
  ];
  return weakModel({
    words: { entry0: 0, entry1: 0, tail: 0, head: 0, parked: 0, fd: 0 },
    threads: {
      producer: [...produce(0), ...produce(1), { label: "end" }],
      consumer,
    },
    badEnd: (_, read) => (read("tail") > read("head") ? "an entry waits for ever" : undefined),
  });
}

/** Two threads that take a task each; the head of the ring is loaded as relaxed. */
export function mutexModel(weaker?: Weaker): Model {
  const o = ordersOf(weaker);
  const poller: Step[] = [
    {
      name: "pthread_mutex_lock",
      lock: "mutex",
      order: o("pthread_mutex_lock", "acquire"),
    },
    { name: "nffi__ring_waiting: head", load: "head", into: "n", order: "relaxed" },
    waiting(o, "tail"),
    { goto: "end", when: (r) => r.a === r.n },
    { name: "the entry", read: (r) => `entry${r.n}`, into: "c" },
    { name: "its slot", write: (r) => `slot${r.n}`, value: 1 },
    {
      name: "nffi__ring_consume",
      store: "head",
      value: (r) => number(r, "n") + 1,
      order: "release",
    },
    { label: "end" },
    {
      name: "pthread_mutex_unlock",
      unlock: "mutex",
      order: o("pthread_mutex_unlock", "release"),
    },
  ];
  return weakModel({
    words: { entry0: 0, entry1: 0, slot0: 0, slot1: 0, tail: 0, head: 0, mutex: 0 },
    threads: {
      host: [
        { name: "the entry", write: "entry0", value: 1 },
        { name: "nffi__ring_publish", store: "tail", value: 1, order: "seq_cst" },
        { name: "the entry", write: "entry1", value: 2 },
        { name: "nffi__ring_publish", store: "tail", value: 2, order: "seq_cst" },
      ],
      first: poller,
      second: poller,
    },
    badEnd: () => undefined,
  });
}

/** Two chunks of a stream and its place on the done ring: write_chunk() and read_done(). */
export function chunksModel(weaker?: Weaker): Model {
  const o = ordersOf(weaker);
  const write = (k: number): Step[] => [
    { name: "the chunk", write: `chunk${k}`, value: k },
    {
      name: "write_chunk: chunks_written",
      store: "written",
      value: k,
      order: o("write_chunk: chunks_written", "release"),
    },
    {
      name: "nffi__announce",
      exchange: "announced",
      value: 1,
      into: "a",
      order: o("nffi__announce: announced", "seq_cst"),
    },
    { goto: `written ${k}`, when: (r) => r.a !== 0 },
    { set: next },
    {
      name: "push_done",
      store: "tail",
      value: (r) => number(r, "n"),
      order: "seq_cst",
    },
    ...mustWake(o, "parked", "fd", `written ${k}`),
    { label: `written ${k}` },
  ];
  const host: Step[] = [
    { label: "loop" },
    waiting(o, "tail"),
    { goto: "idle", when: (r) => r.a === r.n },
    { set: next },
    {
      name: "read_done",
      exchange: "announced",
      value: 0,
      into: "b",
      order: o("read_done: announced", "seq_cst"),
    },
    {
      name: "read_done: chunks_written",
      load: "written",
      into: "b",
      order: o("read_done: chunks_written", "acquire"),
    },
    { label: "chunks" },
    { goto: "loop", when: (r) => r.c === r.b },
    { name: "read_chunk", read: (r) => `chunk${number(r, "c") + 1}`, into: "d" },
    {
      set: (r) => {
        r.c = number(r, "c") + 1;
      },
    },
    { name: "the owner has it", store: "seen", value: (r) => number(r, "c"), order: "relaxed" },
    { goto: "chunks" },
    { label: "idle" },
    ...park(o, "tail", "parked", "fd"),
  ];
  return weakModel({
    words: { chunk1: 0, chunk2: 0, written: 0, announced: 0, tail: 0, parked: 0, fd: 0, seen: 0 },
    threads: { runtime: [...write(1), ...write(2)], host },
    badEnd: (_, read) => (read("seen") < 2 ? "a chunk waits for ever" : undefined),
  });
}

/** Credit for a window of one chunk: nffi__has_credit() and nffi_host_credit(). */
export function creditOrderModel(weaker?: Weaker): Model {
  const o = ordersOf(weaker);
  const take = (access: string): Step => ({
    name: "take_credit",
    load: "read",
    into: "a",
    order: o(access, "seq_cst"),
  });
  const write = (k: number): Step[] => [
    { label: `try ${k}` },
    take("take_credit: chunks_read, first"),
    { goto: `write ${k}`, when: (r) => k - number(r, "a") <= 1 },
    {
      name: "nffi__has_credit: blocked",
      store: "blocked",
      value: 1,
      order: o("nffi__has_credit: blocked", "seq_cst"),
    },
    take("take_credit: chunks_read, again"),
    { goto: `unblock ${k}`, when: (r) => k - number(r, "a") <= 1 },
    {
      name: "nffi_stream_wait",
      exchange: "fd",
      value: 0,
      into: "b",
      order: "acq_rel",
      waits: true,
    },
    { goto: `try ${k}` },
    { label: `unblock ${k}` },
    { name: "nffi__has_credit: blocked", store: "blocked", value: 0, order: "relaxed" },
    { label: `write ${k}` },
    { name: "write_chunk", write: "chunk", value: k },
    { name: "nffi__signal_host", exchange: "hostFd", value: 1, into: "b", order: "release" },
  ];
  const read = (k: number): Step[] => [
    { name: "collect", exchange: "hostFd", value: 0, into: "a", order: "acquire", waits: true },
    { name: "read_chunk", read: "chunk", into: "c" },
    {
      name: "nffi_host_credit: chunks_read",
      store: "read",
      value: k,
      order: o("nffi_host_credit: chunks_read", "seq_cst"),
    },
    {
      name: "nffi_host_credit: blocked",
      load: "blocked",
      into: "b",
      order: o("nffi_host_credit: blocked", "seq_cst"),
    },
    { goto: `read ${k}`, when: (r) => r.b === 0 },
    {
      name: "nffi_host_credit: exchange",
      exchange: "blocked",
      value: 0,
      into: "b",
      order: o("nffi_host_credit: exchange", "seq_cst"),
    },
    { goto: `read ${k}`, when: (r) => r.b === 0 },
    { name: "nffi__host_note", exchange: "fd", value: 1, into: "b", order: "acq_rel" },
    { label: `read ${k}` },
  ];
  return weakModel({
    words: { chunk: 0, read: 0, blocked: 0, fd: 0, hostFd: 0 },
    threads: { runtime: [...write(1), ...write(2), ...write(3)], host: [...read(1), ...read(2)] },
    badEnd: (ended) => (ended.runtime ? undefined : "a writer waits for ever"),
  });
}

/** Credit and a cancellation that share a note: nffi__host_note() and take_note(). */
export function noteModel(weaker?: Weaker): Model {
  const o = ordersOf(weaker);
  const note = (what: string): Step[] => [
    {
      name: "nffi__host_note: noted",
      exchange: "noted",
      value: 1,
      into: "a",
      order: o("nffi__host_note: noted", "seq_cst"),
    },
    { goto: `${what} noted`, when: (r) => r.a !== 0 },
    { set: next },
    { name: "nffi__host_note", store: "tail", value: (r) => number(r, "n"), order: "seq_cst" },
    ...mustWake(o, "parked", "fd", `${what} noted`),
    { label: `${what} noted` },
  ];
  const runtime: Step[] = [
    { label: "loop" },
    waiting(o, "tail"),
    { goto: "idle", when: (r) => r.a === r.n },
    { set: next },
    {
      name: "take_note",
      exchange: "noted",
      value: 0,
      into: "b",
      order: o("take_note: noted", "seq_cst"),
    },
    { name: "nffi__is_cancelled", load: "cancelled", into: "c", order: "acquire" },
    {
      name: "the runtime hears of it",
      store: "heard",
      value: (r) => number(r, "c"),
      order: "relaxed",
    },
    { goto: "loop" },
    { label: "idle" },
    ...park(o, "tail", "parked", "fd"),
  ];
  return weakModel({
    words: { cancelled: 0, noted: 0, tail: 0, parked: 0, fd: 0, heard: 0 },
    threads: {
      host: [
        ...note("credit"),
        {
          name: "nffi_host_cancel",
          store: "cancelled",
          value: 1,
          order: o("nffi_host_cancel: cancelled", "seq_cst"),
        },
        ...note("cancelled"),
      ],
      runtime,
    },
    badEnd: (_, read) => (read("heard") === 0 ? "a cancellation waits for ever" : undefined),
  });
}

/** A task, then the end: at_end() looks at `closed`, then at the ring once more. */
export function endModel(weaker?: Weaker): Model {
  const o = ordersOf(weaker);
  // an acquire load suffices here: what the seq_cst one does beyond that is not needed
  const look: Step = { name: "nffi__ring_waiting", load: "tail", into: "a", order: "acquire" };
  return weakModel({
    words: { entry0: 0, tail: 0, head: 0, closed: 0, left: 0 },
    threads: {
      host: [
        { name: "the entry", write: "entry0", value: 1 },
        { name: "nffi__ring_publish", store: "tail", value: 1, order: "release" },
        {
          name: "nffi_host_close",
          store: "closed",
          value: 1,
          order: o("nffi_host_close: closed", "seq_cst"),
        },
      ],
      poller: [
        { label: "loop" },
        look,
        { goto: "take", when: (r) => r.a !== r.n },
        { name: "at_end", load: "closed", into: "b", order: o("at_end: closed", "seq_cst") },
        { goto: "end", when: (r) => r.b === 0 },
        look,
        { goto: "take", when: (r) => r.a !== r.n },
        { name: "NFFI_CLOSED", store: "left", value: 1, order: "relaxed" },
        { goto: "end" },
        { label: "take" },
        { name: "the entry", read: "entry0", into: "c" },
        { set: next },
        { name: "nffi__ring_consume", store: "head", value: 1, order: "release" },
        { goto: "loop" },
        { label: "end" },
      ],
    },
    badEnd: (_, read) =>
      read("left") === 1 && read("head") === 0 ? "a task waits for ever" : undefined,
  });
}

// The end of a queue, as a model: nffi__queue_lock, nffi__unlock_and_wake and nffi__queue_try_end.
// One thread answers a task, wakes the host and polls to the end; another one polls, then arms. The
// event loop closes the queue and frees it when no thread uses it.
import type { Model, Move, State } from "./explore.js";

export const CLOSE_STEPS = [
  "count the threads that wait",
  "count the thread that wakes the host",
  "count the tasks that are taken",
  "compare the handle",
  "notify when the last one leaves",
  "forget that it was told",
  "try the mutex again",
] as const;

export type CloseStep = (typeof CLOSE_STEPS)[number];

const WORDS = [
  ...["closed", "hostClosed", "told", "inside", "open", "live", "freed", "events", "mutex"],
  ...["host", "first", "second", "tell1", "tell2", "fault"],
] as const;
type Word = (typeof WORDS)[number];
const at = Object.fromEntries(WORDS.map((word, index) => [word, index])) as Record<Word, number>;

const HOST = { close: 0, try: 1, busy: 2, wait: 3, over: 4 };
const T = {
  ...{ answer: 0, answering: 1, signal: 2, signalled: 3, woke: 4, poll: 5, polling: 6 },
  ...{ wait: 7, left: 8, leaving: 9, arm: 10, arming: 11, spin: 12, spun: 13, done: 14 },
  ...{ tell: 15, handler: 16 },
};

export function closeModel(without?: CloseStep): Model {
  const has = (step: CloseStep) => step !== without;
  const start = new Uint8Array(WORDS.length);
  start[at.live] = 1;
  start[at.open] = has("count the tasks that are taken") ? 1 : 0;
  start[at.first] = T.handler;
  start[at.second] = T.poll;
  const get = (s: State, word: Word) => s[at[word]] as number;

  const isUnused = (s: State) =>
    get(s, "hostClosed") && get(s, "inside") === 0 && get(s, "open") === 0;

  /** nffi__unlock_and_wake: whether this thread must notify the host. */
  function unlock(s: State, thread: "first" | "second", next: number): void {
    s[at.mutex] = 0;
    s[at[thread]] = next;
    if (!has("notify when the last one leaves") || !isUnused(s) || get(s, "told")) return;
    s[at.told] = 1;
    s[at[thread === "first" ? "tell1" : "tell2"]] = next + 1;
    s[at[thread]] = T.tell;
  }

  /** nffi__queue_lock: false when the handle names nothing. */
  function lock(s: State): boolean {
    s[at.mutex] = 1;
    if (get(s, "live") || !has("compare the handle")) return true;
    s[at.mutex] = 0;
    return false;
  }

  const use = (s: State) => {
    if (get(s, "freed")) s[at.fault] = 1;
  };
  const count = (s: State, step: CloseStep, change: number) => {
    if (has(step)) s[at.inside] = get(s, "inside") + change;
  };
  const WAITS = "count the threads that wait";
  const WAKES = "count the thread that wakes the host";

  function moveThread(before: State, thread: "first" | "second"): Move | undefined {
    const s = Uint8Array.from(before);
    const pc = get(s, thread);
    const free = get(s, "mutex") === 0;
    const go = (next: number) => {
      s[at[thread]] = next;
    };
    const afterPoll = thread === "second" ? T.arm : T.done;
    const named = (name: string): Move => ({ name: `${thread}: ${name}`, to: s });

    if (pc === T.tell) {
      const word = thread === "first" ? "tell1" : "tell2";
      s[at.events] = 1;
      go(get(s, word) - 1);
      s[at[word]] = 0;
      return named("unused");
    }
    if (pc === T.handler) {
      use(s);
      go(T.answer);
      return named("reads its request");
    }
    if (pc === T.signal) {
      use(s);
      go(T.signalled);
      return named("nffi__signal_host");
    }
    if (pc === T.answering) {
      use(s);
      if (has("count the tasks that are taken")) s[at.open] = 0;
      count(s, WAKES, 1);
      s[at.mutex] = 0;
      go(T.signal);
      return named("nffi__finish");
    }
    if (pc === T.woke) {
      count(s, WAKES, -1);
      unlock(s, thread, T.poll);
      return named("nffi__unlock_and_wake");
    }
    if (pc === T.polling || pc === T.arming) {
      use(s);
      if (pc === T.polling && get(s, "closed")) {
        unlock(s, thread, afterPoll);
        return named("nffi_queue_poll at the end");
      }
      count(s, WAITS, 1);
      s[at.mutex] = 0;
      go(pc === T.polling ? T.wait : T.spin);
      return named(pc === T.polling ? "nffi__wait_for_tasks" : "nffi__spin_to_arm");
    }
    if (pc === T.wait && get(s, "closed")) {
      use(s);
      go(T.left);
      return named("woken");
    }
    if (pc === T.spin) {
      use(s);
      go(T.spun);
      return named("has spun");
    }
    if (!free || pc === T.wait || pc === T.done) return undefined;
    if (pc === T.left || pc === T.spun) {
      s[at.mutex] = 1;
      use(s);
      count(s, WAITS, -1);
      unlock(s, thread, pc === T.left ? afterPoll : T.done);
      return named("leaves");
    }
    if (pc === T.signalled) {
      s[at.mutex] = 1;
      go(T.woke);
      return named("locks again");
    }
    if (!lock(s)) go(T.done);
    else go(pc === T.answer ? T.answering : pc === T.poll ? T.polling : T.arming);
    return named("nffi__queue_lock");
  }

  function moveHost(before: State): Move | undefined {
    const s = Uint8Array.from(before);
    const go = (next: number) => {
      s[at.host] = next;
    };
    const free = get(s, "mutex") === 0;
    switch (get(s, "host")) {
      case HOST.close:
        s[at.closed] = 1;
        go(HOST.try);
        return { name: "nffi_host_close", to: s };
      case HOST.busy:
        if (!free || !has("try the mutex again")) return undefined;
        go(HOST.try);
        return { name: "again after a while", to: s };
      case HOST.wait:
        if (!get(s, "events")) return undefined;
        s[at.events] = 0;
        go(HOST.try);
        return { name: "is notified", to: s };
      case HOST.try:
        if (!free) {
          go(HOST.busy);
          return { name: "nffi__queue_try_end finds the mutex taken", to: s };
        }
        s[at.hostClosed] = 1;
        if (isUnused(s)) {
          s[at.live] = 0;
          s[at.hostClosed] = 0;
          s[at.freed] = 1;
          go(HOST.over);
        } else {
          if (has("forget that it was told")) s[at.told] = 0;
          go(HOST.wait);
        }
        return { name: "nffi__queue_try_end", to: s };
      default:
        return undefined;
    }
  }

  return {
    start,
    moves: (s) =>
      [moveHost(s), moveThread(s, "first"), moveThread(s, "second")].filter(
        (move): move is Move => move !== undefined,
      ),
    broken: (s) => (get(s, "fault") ? "a thread uses a queue that is freed" : undefined),
    badEnd: (s) => (get(s, "host") === HOST.over ? undefined : "a queue is never freed"),
  };
}

// The threads of close-model.ts: nffi__queue_lock, nffi__unlock_and_wake, and what they do between.
import { type CloseStep, type Step, T, type Turn } from "./close-state.js";

const WAITS = "count the threads that wait";
const WAKES = "count the thread that wakes the host";
const TASKS = "count the tasks that are taken";

export const THREAD_STEPS: Readonly<Record<number, Step>> = {
  [T.tell]: (turn) => {
    turn.set("events", 1);
    turn.go(turn.get(wordOfNext(turn)) - 1);
    turn.set(wordOfNext(turn), 0);
    return "unused";
  },
  [T.handler]: (turn) => {
    use(turn);
    turn.go(T.answer);
    return "reads its request";
  },
  [T.signal]: (turn) => {
    use(turn);
    turn.go(T.signalled);
    return "nffi__signal_host";
  },
  [T.answering]: (turn) => {
    use(turn);
    if (turn.has(TASKS)) turn.set("open", 0);
    count(turn, WAKES, 1);
    turn.set("mutex", 0);
    turn.go(T.signal);
    return "nffi__finish";
  },
  [T.woke]: (turn) => {
    count(turn, WAKES, -1);
    unlock(turn, T.poll);
    return "nffi__unlock_and_wake";
  },
  [T.polling]: poll,
  [T.arming]: (turn) => {
    enter(turn, T.spin);
    return "nffi__spin_to_arm";
  },
  [T.wait]: (turn) => {
    if (!turn.get("closed")) return undefined;
    use(turn);
    turn.go(T.left);
    return "woken";
  },
  [T.spin]: (turn) => {
    use(turn);
    turn.go(T.spun);
    return "has spun";
  },
  [T.left]: (turn) => leave(turn, afterPoll(turn)),
  [T.spun]: (turn) => leave(turn, T.done),
  [T.signalled]: (turn) => {
    if (!turn.isFree()) return undefined;
    turn.set("mutex", 1);
    turn.go(T.woke);
    return "locks again";
  },
  [T.answer]: (turn) => lock(turn, T.answering),
  [T.poll]: (turn) => lock(turn, T.polling),
  [T.arm]: (turn) => lock(turn, T.arming),
};

function afterPoll(turn: Turn): number {
  return turn.who === "second" ? T.arm : T.done;
}

/** Where a thread goes after it has notified the host, and 1. */
function wordOfNext(turn: Turn): "tell1" | "tell2" {
  return turn.who === "first" ? "tell1" : "tell2";
}

function use(turn: Turn): void {
  if (turn.get("freed")) turn.set("fault", 1);
}

function count(turn: Turn, step: CloseStep, change: number): void {
  if (turn.has(step)) turn.set("inside", turn.get("inside") + change);
}

/** nffi__queue_lock: it is done when the handle names nothing. */
function lock(turn: Turn, next: number): string | undefined {
  if (!turn.isFree()) return undefined;
  const isNamed = turn.get("live") || !turn.has("compare the handle");
  turn.set("mutex", isNamed ? 1 : 0);
  turn.go(isNamed ? next : T.done);
  return "nffi__queue_lock";
}

/** nffi__unlock_and_wake: first notifies the host if this thread must. */
function unlock(turn: Turn, next: number): void {
  turn.set("mutex", 0);
  turn.go(next);
  if (!turn.has("notify when the last one leaves")) return;
  if (!turn.isUnused() || turn.get("told")) return;
  turn.set("told", 1);
  turn.set(wordOfNext(turn), next + 1);
  turn.go(T.tell);
}

function poll(turn: Turn): string {
  if (turn.get("closed")) {
    use(turn);
    unlock(turn, afterPoll(turn));
    return "nffi_queue_poll at the end";
  }
  enter(turn, T.wait);
  return "nffi__wait_for_tasks";
}

/** Releases the mutex inside of a call. */
function enter(turn: Turn, next: number): void {
  use(turn);
  count(turn, WAITS, 1);
  turn.set("mutex", 0);
  turn.go(next);
}

/** Leaves the call. */
function leave(turn: Turn, next: number): string | undefined {
  if (!turn.isFree()) return undefined;
  turn.set("mutex", 1);
  use(turn);
  count(turn, WAITS, -1);
  unlock(turn, next);
  return "leaves";
}

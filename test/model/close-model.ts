// The end of a queue, as a model: nffi__queue_lock, nffi__unlock_and_wake (close-thread.ts) and
// nffi__queue_try_end (close-host.ts). One thread answers a task, wakes the host and polls to the
// end; another one polls, then arms. The event loop closes the queue and frees it when no thread
// uses it.
import { HOST_STEPS } from "./close-host.js";
import { at, type CloseStep, HOST, T, Turn, WORDS } from "./close-state.js";
import { THREAD_STEPS } from "./close-thread.js";
import type { Model, Move, State } from "./explore.js";

export function closeModel(without?: CloseStep): Model {
  return {
    start: start(without),
    moves: (s) =>
      [
        moveHost(s, without),
        moveThread(s, "first", without),
        moveThread(s, "second", without),
      ].filter((move): move is Move => move !== undefined),
    broken: (s) => (s[at.fault] ? "a thread uses a queue that is freed" : undefined),
    badEnd: (s) => (s[at.host] === HOST.over ? undefined : "a queue is never freed"),
  };
}

/** A handler of the first thread has a task. */
function start(without?: CloseStep): State {
  const s = new Uint8Array(WORDS.length);
  s[at.live] = 1;
  s[at.open] = without === "count the tasks that are taken" ? 0 : 1;
  s[at.first] = T.handler;
  s[at.second] = T.poll;
  return s;
}

function moveHost(s: State, without?: CloseStep): Move | undefined {
  const turn = new Turn(s, "host", without);
  const name = HOST_STEPS[turn.place]?.(turn);
  return name === undefined ? undefined : turn.move(name);
}

function moveThread(s: State, who: "first" | "second", without?: CloseStep): Move | undefined {
  const turn = new Turn(s, who, without);
  const name = THREAD_STEPS[turn.place]?.(turn);
  return name === undefined ? undefined : turn.move(`${who}: ${name}`);
}

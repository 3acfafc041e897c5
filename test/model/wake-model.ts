// The wake-up and close protocol of c-src/lib and of the glue's collect handler, as a model; see
// docs/decisions/0002. There is one host (the event loop, wake-host.ts). The runtime is one or two
// pollers, or one armed loop (wake-runtime.ts). A move is one access to memory that the other side
// sees, one system call, or the taking of the mutex. It is named after the function that makes it.
// Stores that are not sequentially consistent wait in a store buffer, as on x86, and land later.
//
// `without` leaves out one protective step. The walk must then find a fault.
import type { Model, Move, State } from "./explore.js";
import { hostMoves } from "./wake-host.js";
import { runtimeMoves } from "./wake-runtime.js";
import { at, NONE, R, type Setting, type Word } from "./wake-state.js";
import { threadAt, type World } from "./wake-turn.js";

export function wakeModel(setting: Setting): Model {
  const armed = setting.pollers === 0;
  const world: World = {
    ...{ setting, armed, threads: armed ? 1 : setting.pollers },
    has: (step) => setting.without !== step,
  };
  return {
    start: startOf(world),
    moves(s) {
      const found: Move[] = [];
      hostMoves(s, world, found);
      for (let i = 0; i < world.threads; i++) runtimeMoves(s, world, i, found);
      return found;
    },
    broken: (s) => (get(s, "linked") > 1 ? "a task is twice on nginx's done queue" : undefined),
    badEnd: (s) => badEnd(s, world),
  };
}

const get = (s: State, word: Word) => s[at[word]] as number;

function startOf({ setting, threads }: World): State {
  const start = new Uint8Array(threadAt(threads));
  start[at.hostParked] = 1; // the glue parks a new queue immediately
  start[at.cancels] = setting.cancels ?? 0;
  start[at.closing] = setting.close ? 1 : 0;
  for (let i = 0; i < threads; i++) start[threadAt(i) + 1] = NONE;
  return start;
}

function badEnd(s: State, { threads }: World): string | undefined {
  const places = Array.from({ length: threads }, (_, i) => s[threadAt(i)]);
  const free = places.some((place) => place !== R.stuck);
  const held = get(s, "stuck") === 0 ? 0 : 1;
  if (free && get(s, "tasksHead") < get(s, "tasksTail")) return "a task waits for ever";
  if (get(s, "tasksHead") - held > get(s, "doneTail")) return "a task is not answered";
  if (get(s, "doneHead") < get(s, "doneTail")) return "a response waits for ever";
  const closed = get(s, "closed") === 1;
  if (free && !closed && get(s, "notesHead") < get(s, "notesTail")) {
    return "a cancellation waits for ever";
  }
  if (closed && places.some((place) => place !== R.over && place !== R.stuck)) {
    return "a thread of a closed runtime sleeps for ever";
  }
  return undefined;
}

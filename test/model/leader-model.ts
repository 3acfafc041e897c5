// How the threads of a runtime sleep, as a model of c-src/lib/runtime/wait.c: pollers and writers
// (threads in nffi_stream_wait) share one word, or in a process one eventfd. One of them leads,
// with and without spinning; the others follow. A loop that arms the descriptor may take over.
// Memory is sequentially consistent here; order-model.ts is about memory orders. A move is one
// access that another side sees, one system call, or the taking of the mutex; it is named after
// the function that makes it.
//
// `without` leaves out one protective step. The walk must then find a fault.
import type { Model, Move, State } from "./explore.js";
import {
  type Add,
  at,
  type Context,
  get,
  type LeaderSetting,
  NEWS,
  ON,
  T,
  THREAD,
  threadAt,
  WORDS,
} from "./leader-state.js";
import { threadMoves } from "./leader-threads.js";

const H = { idle: 0, look: 1, write: 2, wakeWord: 3, close: 4, closeWord: 5 };

export function leaderModel(setting: LeaderSetting): Model {
  const { pollers, writers } = setting;
  const threads = pollers + writers + (setting.loop ? 1 : 0);
  const context: Context = {
    setting,
    threads,
    has: (step) => setting.without !== step,
    isWriter: (index) => index >= pollers && index < pollers + writers,
    isLoop: (index) => index >= pollers + writers,
  };
  const start = new Uint8Array(WORDS.length + threads * THREAD);
  start[at.creditsLeft] = setting.credits ?? 0;
  start[at.newsLeft] = setting.news ? 1 : 0;
  start[at.closeLeft] = setting.close ? 1 : 0;
  start[at.endLeft] = setting.ends ? 1 : 0;

  function moves(s: State): Move[] {
    const found: Move[] = [];
    const add =
      (who: string): Add =>
      (name, change) => {
        const to = s.slice();
        change(to);
        found.push({ name: `${who}: ${name}`, to });
      };
    hostMoves(s, context, add("host"));
    if (get(s, "wakeLeft")) {
      add("another thread")("nffi__nudge_leader: nffi__word_wake", (to) => {
        to[at.wakeLeft] = 0;
        wakeWord(to, context);
      });
    }
    for (let i = 0; i < threads; i++) {
      const who = context.isWriter(i) ? "writer" : context.isLoop(i) ? "loop" : "poller";
      threadMoves(s, i, context, add(who));
    }
    return found;
  }

  return { start, moves, broken: () => undefined, badEnd: (s) => badEnd(s, context) };
}

function hostMoves(s: State, context: Context, add: Add): void {
  const { setting } = context;
  const note = (to: State, stream: number) => {
    const bits = 3 * (get(s, "notesTail") - get(s, "notesHead"));
    to[at.notes] = get(s, "notes") | (stream << bits);
    to[at.notesTail] = get(s, "notesTail") + 1;
    to[at.host] = H.look;
  };
  switch (get(s, "host")) {
    case H.idle:
      if (get(s, "tasksTail") < setting.tasks && get(s, "closed") === 0) {
        add("nffi_host_submit: nffi__ring_publish", (to) => {
          to[at.tasksTail] = get(s, "tasksTail") + 1;
          to[at.host] = H.look;
        });
      }
      if (get(s, "creditsLeft") > 0) {
        add("nffi_host_credit: nffi__ring_publish", (to) => {
          const stream = (setting.credits ?? 0) - get(s, "creditsLeft");
          to[at.creditsLeft] = get(s, "creditsLeft") - 1;
          to[at.credit] = get(s, "credit") | (1 << stream);
          note(to, stream);
        });
      }
      if (get(s, "newsLeft") > 0) {
        add("nffi_host_credit: nffi__ring_publish, of another stream", (to) => {
          to[at.newsLeft] = 0;
          note(to, NEWS);
        });
      }
      if (get(s, "closeLeft") > 0) {
        add("nffi_host_close", (to) => {
          to[at.closeLeft] = 0;
          to[at.closed] = 1;
          to[at.host] = H.close;
        });
      }
      break;
    default:
      wakeMoves(s, context, add);
  }
}

/** nffi__host_wake_runtime; nffi_host_close writes the eventfd after it. */
function wakeMoves(s: State, context: Context, add: Add): void {
  const host = get(s, "host");
  const closes = host === H.close || host === H.closeWord;
  const go = (to: State, place: number) => {
    to[at.host] = closes && place === H.idle ? H.write : place;
  };
  if (host === H.look || host === H.close) {
    add("nffi__must_wake", (to) => {
      const parked = get(s, "parked");
      if (parked === ON.word) go(to, closes ? H.closeWord : H.wakeWord);
      else go(to, parked === ON.descriptor ? H.write : H.idle);
      to[at.parked] = 0;
    });
  } else if (host === H.write) {
    add("nffi__eventfd_signal", (to) => {
      to[at.tasksFd] = 1;
      go(to, H.idle);
    });
  } else {
    add("nffi__host_signal_runtime: nffi__word_wake", (to) => {
      wakeWord(to, context);
      go(to, H.idle);
    });
  }
}

/** Wakes the thread that sleeps on the word, if one does. */
function wakeWord(to: State, { threads }: Context): void {
  for (let i = 0; i < threads; i++) {
    if (to[threadAt(i)] === T.asleep) to[threadAt(i)] = T.relock;
  }
}

function badEnd(s: State, { threads, isWriter, setting }: Context): string | undefined {
  let polls = 0;
  for (let i = 0; i < threads; i++) {
    const place = s[threadAt(i)];
    if (place === T.armRetry) return "a loop never sleeps";
    if (place === T.over || place === T.stuck) continue;
    if (!isWriter(i)) {
      polls++;
      if (get(s, "closed") === 1) return "a poller of a closed queue waits for ever";
    } else if (((get(s, "credit") | get(s, "ended")) >> (i - setting.pollers)) & 1) {
      return "a writer waits for ever";
    }
  }
  if (polls > 0 && get(s, "tasksHead") < get(s, "tasksTail")) return "a task waits for ever";
  if (polls > 0 && get(s, "news") === 1) return "credit waits for ever";
  return undefined;
}

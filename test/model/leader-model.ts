// How the threads of a runtime sleep, as a model of c-src/lib/runtime/wait.c: pollers and writers
// (threads in nffi_stream_wait) share one eventfd. One of them leads, with and without spinning;
// the others follow. A loop that arms the descriptor may take over. Memory is sequentially
// consistent here; order-model.ts is about memory orders. A move is one access that another side
// sees, one system call, or the taking of the mutex; it is named after the function that makes it.
//
// `without` leaves out one protective step. The walk must then find a fault.
import type { Model, Move, State } from "./explore.js";
import { type Add, threadMoves } from "./leader-threads.js";

export const LEADER_STEPS = [
  "writer: hand over",
  "writer: looks for tasks of a follower",
  "writer: follows a woken poller",
  "lead: look at tasks",
  "lead: look at notes",
  "spin: notes that another thread took",
  "pass: pollers",
  "pass: writers",
  "leave: pollers pass the lead",
  "leave: writers pass the lead",
  "poll: look again after waking the host",
  "follow: woken while it timed out",
  "note: wake the threads of the stream",
  "finish: wake the threads of the stream",
  "finish: nudge the leader",
  "arm: threads follow",
  "arm: nudge the leader",
] as const;

export type LeaderStep = (typeof LEADER_STEPS)[number];

export interface LeaderSetting {
  readonly tasks: number;
  readonly pollers: number;
  readonly writers: number;
  /** The leader may look for a while before it announces. */
  readonly spins?: boolean;
  /** Streams that get credit from the host, from the first one. */
  readonly credits?: number;
  /** Credit for a stream that no thread waits for: a poller must return. */
  readonly news?: boolean;
  /** The first task was cancelled while it was queued. */
  readonly skips?: boolean;
  /** Another thread ends the stream of the first writer. */
  readonly ends?: boolean;
  /** The waits of this thread may time out: pollers first, then writers. */
  readonly timed?: number;
  /** A handler may never return. */
  readonly stuck?: boolean;
  readonly close?: boolean;
  /** One more thread arms the descriptor. */
  readonly loop?: boolean;
  readonly without?: LeaderStep;
}

export const WORDS = [
  ...["tasksTail", "tasksHead", "notesTail", "notesHead", "parked", "closed", "tasksFd"],
  // under the mutex
  ...["mutex", "leader", "arms", "wakeDue", "news"],
  // streams, a bit each: credit, ended; notes in the ring, in order, of three bits each
  ...["credit", "ended", "notes", "newsNoted", "stuck"],
  // the host: where it is, what is left to do
  ...["host", "creditsLeft", "newsLeft", "closeLeft", "endLeft"],
] as const;
export type Word = (typeof WORDS)[number];
export const at = Object.fromEntries(WORDS.map((word, index) => [word, index])) as Record<
  Word,
  number
>;

/** A thread: its place, 1 when it was woken, and what spin_unlocked() keeps. */
export const THREAD = 3;
export const threadAt = (index: number) => WORDS.length + index * THREAD;
export const get = (s: State, word: Word) => s[at[word]] as number;

/** Who leads. */
export const LEADER = { nobody: 0, poller: 1, writer: 2 };

/** Where a thread is. A loop uses `lock` to `leave`, and those from `armLock`. */
export const T = {
  ...{ lock: 0, notes: 1, take: 2, closed: 3, wait: 4, spin: 5, found: 6, gaveUp: 7 },
  ...{ announce: 8, lookNotes: 9, lookTasks: 10, lookClosed: 11, sleep: 12, clear: 13 },
  ...{ relock: 14, revoke: 15, led: 16, follow: 17, timedOut: 18, leave: 19, handler: 20 },
  ...{
    over: 21,
    stuck: 22,
    wakeHost: 23,
    relockHost: 24,
    leaveOver: 25,
    leaveTimed: 26,
    armTake: 27,
  },
  ...{ armLock: 30, armClear: 31, armAnnounce: 32, armNotes: 33, armLook: 34, armClosed: 35 },
  ...{ armRevoke: 36, armSleep: 37, armRetry: 38, sleepTimedOut: 39, endLook: 40 },
};

const H = { idle: 0, look: 1, write: 2 };
export const NEWS = 3; // the number of the stream that no thread waits for

export interface Context {
  readonly setting: LeaderSetting;
  readonly threads: number;
  readonly has: (step: LeaderStep) => boolean;
  readonly isWriter: (index: number) => boolean;
  readonly isLoop: (index: number) => boolean;
}

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
    hostMoves(s, setting, add("host"));
    for (let i = 0; i < threads; i++) {
      const who = context.isWriter(i) ? "writer" : context.isLoop(i) ? "loop" : "poller";
      threadMoves(s, i, context, add(who));
    }
    return found;
  }

  return { start, moves, broken: () => undefined, badEnd: (s) => badEnd(s, context) };
}

function hostMoves(s: State, setting: LeaderSetting, add: Add): void {
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
          to[at.host] = H.write;
        });
      }
      break;
    case H.look:
      add("nffi__must_wake", (to) => {
        to[at.host] = get(s, "parked") ? H.write : H.idle;
        to[at.parked] = 0;
      });
      break;
    case H.write:
      add("nffi__host_wake_runtime", (to) => {
        to[at.tasksFd] = 1;
        to[at.host] = H.idle;
      });
      break;
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

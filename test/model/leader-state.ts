// The state of leader-model.ts: its settings, its words and the places of its threads.
import type { State } from "./explore.js";

export const LEADER_STEPS = [
  "writer: hand over",
  "writer: looks for tasks of a follower",
  "writer: looks for the end of a follower",
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
  "nudge: mark for one that spins",
  "nudge: change the word",
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
  /** A process, whose threads sleep on an eventfd; threads of the worker sleep on the word. */
  readonly process?: boolean;
  /** One more thread arms the descriptor. */
  readonly loop?: boolean;
  readonly without?: LeaderStep;
}

export const WORDS = [
  ...["tasksTail", "tasksHead", "notesTail", "notesHead", "parked", "closed", "tasksFd"],
  // under the mutex
  ...["mutex", "leader", "arms", "wakeDue", "news", "nudged"],
  // streams, a bit each: credit, ended; notes in the ring, in order, of three bits each
  ...["credit", "ended", "notes", "newsNoted", "stuck"],
  // the host: where it is, what is left to do
  ...["host", "creditsLeft", "newsLeft", "closeLeft", "endLeft", "wakeLeft"],
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

/** How a thread has parked (enum nffi__parked); 0: none has. */
export const ON = { descriptor: 1, word: 2 };

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
  ...{ asleep: 41 },
};

export const NEWS = 3; // the number of the stream that no thread waits for

export interface Context {
  readonly setting: LeaderSetting;
  readonly threads: number;
  readonly has: (step: LeaderStep) => boolean;
  readonly isWriter: (index: number) => boolean;
  readonly isLoop: (index: number) => boolean;
}

/** Adds a move that changes a copy of the state. */
export type Add = (name: string, change: (to: State) => void) => void;

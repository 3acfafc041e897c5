// The state of wake-model.ts: its settings, its words and the places of its threads.

/** Steps of the code that look as if they could be left out. */
export const STEPS = [
  "park: look again",
  "park: announce first",
  "park: seq_cst",
  "lead: look again",
  "lead: look at notes",
  "lead: seq_cst",
  "lead: says how it sleeps",
  "word: compare",
  "submit: seq_cst",
  "finish: seq_cst",
  "close: wake",
  "leave: next leader",
  "poll: wake before waiting",
  "wake: once",
  "woken: clear first",
  "collect: go on",
  "arm: clear first",
  "arm: look again",
  "arm: notes",
  "arm: told once",
] as const;

export type Step = (typeof STEPS)[number];

export interface Setting {
  readonly tasks: number;
  /** Threads that block in nffi_queue_poll; 0: one event loop with nffi_queue_arm. */
  readonly pollers: number;
  /** Tasks that the host may cancel. */
  readonly cancels?: number;
  readonly close?: boolean;
  /**
   * The runtime is a process: an edge-triggered eventfd wakes the host, and a poller sleeps on an
   * eventfd instead of the word.
   */
  readonly process?: boolean;
  /** One handler may never return. */
  readonly stuck?: boolean;
  readonly without?: Step;
}

// Words of shared memory, then what only one side knows. Tails count, heads follow.
export const WORDS = [
  ...["tasksTail", "tasksHead", "doneTail", "doneHead", "notesTail", "notesHead"],
  ...["runtimeParked", "hostParked", "closed", "cancelled", "tasksFd"],
  // the way to the host: done queue of nginx's thread pool and its notify, or the done eventfd
  ...["linked", "woken", "notified", "collectPosted", "clearDue"],
  ...["mutex", "led", "wakeDue", "news", "stuck", "cancels", "closing"],
  "host",
] as const;
export type Word = (typeof WORDS)[number];
export const at = Object.fromEntries(WORDS.map((word, index) => [word, index])) as Record<
  Word,
  number
>;

// Each thread: where it is, which task it holds, and one delayed store (word + 1, value).
export const THREAD = 4;
export const BUFFER = 2; // of the host: word + 1, value

/** How a side has parked (enum nffi__parked); 0: it has not. */
export const ON = { descriptor: 1, word: 2 };

/** Where the host is. */
export const H = {
  idle: 0,
  look: 1,
  take: 2,
  write: 3,
  collect: 4,
  park: 5,
  again: 6,
  revoke: 7,
  clear: 8,
  announceLate: 9,
  wakeWord: 10,
  closeWrite: 11,
};

/** Where a thread of the runtime is. */
export const R = {
  lock: 0,
  take: 1,
  end: 2,
  wait: 3,
  look: 4,
  lookClosed: 5,
  lookNotes: 30,
  notes: 31,
  sleep: 6,
  asleep: 32,
  clear: 7,
  relock: 8,
  revoke: 9,
  leave: 10,
  handler: 11,
  respond: 12,
  finish: 13,
  follow: 14,
  followed: 15,
  over: 16,
  stuck: 17,
  endLook: 18,
  lockAgain: 19,
  // an armed event loop
  armLock: 20,
  armClear: 21,
  armAnnounce: 22,
  armLook: 23,
  armNotes: 24,
  armClosed: 25,
  armRevoke: 26,
  armSleep: 27,
  cancelled: 28,
  armClearLate: 29,
};

export interface WakePlaces {
  readonly look: number;
  readonly take: number;
  readonly unlock: number;
  readonly signal: number;
  readonly post: number;
  readonly notify: number;
}

/** nffi__unlock_and_wake, which has three callers that go on in different places. */
export const W = {
  answered: wakePlaces(40),
  waiting: wakePlaces(50),
  ended: wakePlaces(60),
};

function wakePlaces(from: number): WakePlaces {
  return {
    ...{ look: from, take: from + 1, unlock: from + 2 },
    ...{ signal: from + 3, post: from + 4, notify: from + 5 },
  };
}

export const NONE = 255;

// The state of close-model.ts: the steps that protect, the words, the places of the host and of the
// threads, and what one of them can do in one state.
import type { Move, State } from "./explore.js";

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

export const WORDS = [
  ...["closed", "hostClosed", "told", "inside", "open", "live", "freed", "events", "mutex"],
  ...["host", "first", "second", "tell1", "tell2", "fault"],
] as const;
export type Word = (typeof WORDS)[number];
export const at = Object.fromEntries(WORDS.map((word, index) => [word, index])) as Record<
  Word,
  number
>;

/** Where the host is. */
export const HOST = { close: 0, try: 1, busy: 2, wait: 3, over: 4 };

/** Where a thread is. */
export const T = {
  ...{ answer: 0, answering: 1, signal: 2, signalled: 3, woke: 4, poll: 5, polling: 6 },
  ...{ wait: 7, left: 8, leaving: 9, arm: 10, arming: 11, spin: 12, spun: 13, done: 14 },
  ...{ tell: 15, handler: 16 },
};

/** Changes a copy of the state. */
export class Turn {
  private readonly to: State;

  constructor(
    before: State,
    readonly who: "host" | "first" | "second",
    private readonly without?: CloseStep,
  ) {
    this.to = Uint8Array.from(before);
  }

  has(step: CloseStep): boolean {
    return step !== this.without;
  }

  get place(): number {
    return this.get(this.who);
  }

  go(place: number): void {
    this.set(this.who, place);
  }

  get(word: Word): number {
    return this.to[at[word]] as number;
  }

  set(word: Word, value: number): void {
    this.to[at[word]] = value;
  }

  isFree(): boolean {
    return this.get("mutex") === 0;
  }

  isUnused(): boolean {
    return this.get("hostClosed") === 1 && this.get("inside") === 0 && this.get("open") === 0;
  }

  move(name: string): Move {
    return { name, to: this.to };
  }
}

/** Makes a move and returns its name; undefined: none is possible here. */
export type Step = (turn: Turn) => string | undefined;

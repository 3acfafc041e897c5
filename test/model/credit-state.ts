// The state of credit-model.ts: its settings, its words, the places of its two sides, and what a
// side can do in one state.
import type { Move, State } from "./explore.js";

export const CREDIT_STEPS = [
  "blocked: look again",
  "blocked: seq_cst",
  "read: seq_cst",
  "note: clear the mark first",
  "note: wake",
  "wait: look at notes",
] as const;

export type CreditStep = (typeof CREDIT_STEPS)[number];

export interface CreditSetting {
  readonly chunks: number;
  /** NFFI__CHUNKS: the maximum of unread chunks. */
  readonly most: number;
  readonly without?: CreditStep;
}

export const WORDS = [
  ...["written", "taken", "read", "blocked", "noted", "notesTail", "notesHead"],
  ...["parked", "tasksFd", "host", "writer", "waits", "clearDue"],
  // one delayed store each: word + 1, value
  ...["hostBuffer", "hostValue", "writerBuffer", "writerValue"],
] as const;
export type Word = (typeof WORDS)[number];
export const at = Object.fromEntries(WORDS.map((word, index) => [word, index])) as Record<
  Word,
  number
>;

/** Where the host is. */
export const H = {
  ...{ idle: 0, blocked: 1, unblock: 2, note: 3, publish: 4, look: 5, take: 6, wake: 7 },
};

/** Where the writer is. */
export const W = {
  ...{ first: 0, block: 1, second: 2, unblock: 3, write: 4, notes: 5, clear: 6, park: 7 },
  ...{ look: 8, sleep: 9, clearFd: 10, revoke: 11, over: 12 },
};

export class Turn {
  constructor(
    private readonly s: State,
    private readonly side: "host" | "writer",
    readonly setting: CreditSetting,
    private readonly found: Move[],
  ) {
    const isDelayed = s[at[`${side}Buffer`]] !== 0;
    if (isDelayed) this.move("a delayed store lands", (to) => this.land(to));
  }

  has(step: CreditStep): boolean {
    return this.setting.without !== step;
  }

  get place(): number {
    return this.get(this.side);
  }

  go(to: State, place: number): void {
    to[at[this.side]] = place;
  }

  move(name: string, change: (to: State) => void): void {
    const to = this.s.slice();
    change(to);
    this.found.push({ name: `${this.side}: ${name}`, to });
  }

  /** The value in memory, as the other side sees it. */
  get(word: Word): number {
    return this.s[at[word]] as number;
  }

  /** The value as this side sees it. */
  load(word: Word): number {
    const isDelayed = this.get(`${this.side}Buffer`) === at[word] + 1;
    return isDelayed ? this.get(`${this.side}Value`) : this.get(word);
  }

  land(to: State): void {
    const buffer = at[`${this.side}Buffer`];
    const value = at[`${this.side}Value`];
    if (to[buffer] === 0) return;
    to[(to[buffer] as number) - 1] = to[value] as number;
    to[buffer] = 0;
    to[value] = 0;
  }

  /** Sequentially consistent if `strong`: everything before it has landed. */
  store(to: State, word: Word, value: number, strong: boolean): void {
    this.land(to);
    if (strong) {
      to[at[word]] = value;
    } else {
      to[at[`${this.side}Buffer`]] = at[word] + 1;
      to[at[`${this.side}Value`]] = value;
    }
  }
}

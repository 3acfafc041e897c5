// What a side of wake-model.ts can do in one state: it reads and writes memory, and adds moves. The
// host and each thread of the runtime have one delayed store, as x86 has it.
import type { Move, State } from "./explore.js";
import {
  at,
  BUFFER,
  NONE,
  type Setting,
  type Step,
  THREAD,
  WORDS,
  type Word,
} from "./wake-state.js";

export interface World {
  readonly setting: Setting;
  /** Threads of the runtime; an armed event loop is one. */
  readonly threads: number;
  /** One event loop with nffi_queue_arm instead of pollers. */
  readonly armed: boolean;
  has(step: Step): boolean;
}

/** Changes a copy of the state. */
export type Change = (to: State) => void;

export const HOST_BUFFER = WORDS.length;

/** The first byte of a thread in a state. */
export const threadAt = (index: number) => WORDS.length + BUFFER + index * THREAD;

export class Turn {
  constructor(
    readonly s: State,
    readonly world: World,
    private readonly side: string,
    /** Where in a state this side has its delayed store, and where it is. */
    private readonly buffer: number,
    private readonly place: number,
    private readonly found: Move[],
  ) {
    if (s[buffer] !== 0) this.move("a delayed store lands", (to) => this.land(to));
  }

  has(step: Step): boolean {
    return this.world.has(step);
  }

  move(name: string, change: Change): void {
    const to = this.s.slice();
    change(to);
    this.found.push({ name: `${this.side}: ${name}`, to });
  }

  go(to: State, place: number): void {
    to[this.place] = place;
  }

  /** The value in memory, as the other sides see it. */
  get(word: Word): number {
    return this.s[at[word]] as number;
  }

  /** The value as this side sees it. */
  load(word: Word): number {
    const { s, buffer } = this;
    return s[buffer] === at[word] + 1 ? (s[buffer + 1] as number) : this.get(word);
  }

  land(to: State): void {
    const { buffer } = this;
    if (to[buffer] === 0) return;
    to[(to[buffer] as number) - 1] = to[buffer + 1] as number;
    to[buffer] = 0;
    to[buffer + 1] = 0;
  }

  /** Sequentially consistent if `strong`: everything before it has landed. */
  store(to: State, word: Word, value: number, strong = true): void {
    this.land(to);
    if (strong) {
      to[at[word]] = value;
    } else {
      to[this.buffer] = at[word] + 1;
      to[this.buffer + 1] = value;
    }
  }
}

/** A turn of a thread of the runtime, with what the functions of queue.c share. */
export class ThreadTurn extends Turn {
  /** Where the state has what the thread does, then the task that it holds. */
  readonly me: number;

  constructor(
    s: State,
    world: World,
    readonly index: number,
    found: Move[],
  ) {
    const me = threadAt(index);
    super(s, world, world.armed ? "loop" : "poller", me + 2, me, found);
    this.me = me;
  }

  get holdsTask(): boolean {
    return this.s[this.me + 1] !== NONE;
  }

  hold(to: State, task: number): void {
    to[this.me + 1] = task;
  }

  lock(name: string, place: number): void {
    if (this.get("mutex") !== 0) return;
    this.move(name, (to) => {
      this.land(to);
      to[at.mutex] = this.index + 1;
      this.go(to, place);
    });
  }

  unlock(to: State): void {
    this.land(to);
    to[at.mutex] = 0;
  }

  tasksWait(): boolean {
    return this.load("tasksTail") > this.get("tasksHead");
  }

  notesWait(): boolean {
    return this.load("notesTail") > this.get("notesHead");
  }

  takeNotes(to: State): void {
    if (!this.notesWait()) return;
    to[at.notesHead] = this.load("notesTail");
    to[at.news] = 1;
  }

  finish(to: State): void {
    this.store(to, "doneTail", this.load("doneTail") + 1, this.has("finish: seq_cst"));
    to[at.wakeDue] = 1;
  }
}

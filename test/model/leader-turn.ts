// What a thread of leader-model.ts sees in one state, and the moves that it adds.
import type { State } from "./explore.js";
import { type Add, at, type Context, get, LEADER, NEWS, T, threadAt } from "./leader-state.js";

export class ThreadTurn {
  readonly me: number;
  readonly isWriter: boolean;
  /** A writer's number of its stream. */
  readonly stream: number;
  readonly isLoop: boolean;
  readonly mayTimeOut: boolean;

  constructor(
    readonly s: State,
    readonly index: number,
    readonly context: Context,
    readonly add: Add,
  ) {
    const { setting } = context;
    this.me = threadAt(index);
    this.isWriter = context.isWriter(index);
    this.stream = index - setting.pollers;
    this.isLoop = context.isLoop(index);
    this.mayTimeOut = index === (setting.timed ?? 0) - 1;
  }

  go(to: State, place: number): void {
    to[this.me] = place;
  }

  get isUnlocked(): boolean {
    return get(this.s, "mutex") === 0;
  }

  takeMutex(to: State): void {
    to[at.mutex] = this.index + 1;
  }

  lock(name: string, place: number): void {
    if (!this.isUnlocked) return;
    this.add(name, (to) => {
      this.takeMutex(to);
      this.go(to, place);
    });
  }

  unlock(to: State): void {
    to[at.mutex] = 0;
  }

  get tasksWait(): boolean {
    return get(this.s, "tasksTail") > get(this.s, "tasksHead");
  }

  get notesWait(): boolean {
    return get(this.s, "notesTail") > get(this.s, "notesHead");
  }

  /** nffi__take_notes: takes all notes that have arrived. */
  takeNotes(to: State): void {
    const { setting, has } = this.context;
    let notes = get(this.s, "notes");
    for (let n = get(this.s, "notesTail") - get(this.s, "notesHead"); n > 0; n--, notes >>= 3) {
      const stream = notes & 7;
      if (stream === NEWS) {
        to[at.news] = 1;
      } else if (has("note: wake the threads of the stream")) {
        const thread = setting.pollers + stream;
        this.wake(
          to,
          this.writers().filter((index) => index === thread),
        );
      }
    }
    to[at.notes] = 0;
    to[at.notesHead] = get(this.s, "notesTail");
  }

  /** Pollers, or an armed loop, that follow and were not woken. */
  followers(): number[] {
    return this.#waiting(false);
  }

  /** The same of writers. */
  writers(): number[] {
    return this.#waiting(true);
  }

  /** True if such a thread was woken and does not run yet. */
  isWoken({ writers }: { readonly writers: boolean }): boolean {
    const { threads, isWriter } = this.context;
    for (let i = 0; i < threads; i++) {
      if (this.s[threadAt(i) + 1] === 1 && isWriter(i) === writers) return true;
    }
    return false;
  }

  wake(to: State, indexes: readonly number[]): void {
    for (const index of indexes) to[threadAt(index) + 1] = 1;
  }

  nudgeLeader(to: State): void {
    if (get(to, "leader") === LEADER.nobody) return;
    if (this.context.setting.process) {
      to[at.tasksFd] = 1;
      return;
    }
    to[at.nudged] = 1;
    if (this.context.has("nudge: change the word")) {
      if (get(to, "parked")) to[at.wakeLeft] = 1;
      to[at.parked] = 0;
    } else {
      to[at.wakeLeft] = 1;
    }
  }

  #waiting(writers: boolean): number[] {
    const { threads, isWriter } = this.context;
    const found: number[] = [];
    for (let i = 0; i < threads; i++) {
      const place = this.s[threadAt(i)];
      const follows = place === T.follow || place === T.timedOut;
      if (follows && this.s[threadAt(i) + 1] === 0 && isWriter(i) === writers) found.push(i);
    }
    return found;
  }
}

/** The moves of a thread, by its place. */
export type Moves = Readonly<Record<number, (turn: ThreadTurn) => void>>;

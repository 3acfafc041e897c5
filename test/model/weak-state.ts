// The state of weak-memory.ts as bytes: all values of each word, and the place, the registers and
// the view of each thread.
import type { State } from "./explore.js";
import type { Programs, Registers, Step } from "./weak-program.js";

const MAX_VALUES = 12;
const REGISTERS = ["a", "b", "c", "d", "n"];

export class Memory {
  readonly names: readonly string[];
  readonly programs: readonly (readonly [string, readonly Step[]])[];
  /** Words and their shadows: the reads of a word, where it holds plain data. */
  readonly count: number;
  /** A value and the view that it carries. */
  private readonly message: number;
  /** The number of values, then the values. */
  private readonly history: number;
  /** The newest value of each word for seq_cst. */
  private readonly scAt: number;
  private readonly brokenAt: number;
  /** How often each word was read. */
  private readonly readsAt: number;
  private readonly threadSize: number;
  private readonly threadsAt: number;
  private readonly faults = [""];

  constructor(private readonly of: Programs) {
    this.names = Object.keys(of.words);
    this.programs = Object.entries(of.threads);
    this.count = this.names.length * 2;
    this.message = 1 + this.count;
    this.history = 1 + MAX_VALUES * this.message;
    this.scAt = this.names.length * this.history;
    this.brokenAt = this.scAt + this.count;
    this.readsAt = this.brokenAt + 1;
    this.threadSize = 1 + REGISTERS.length + this.count;
    this.threadsAt = this.readsAt + this.names.length;
  }

  /** Each word has its first value, each thread is at its first step. */
  start(): State {
    const start = new Uint8Array(this.threadsAt + this.programs.length * this.threadSize);
    this.names.forEach((name, word) => {
      start[word * this.history] = 1;
      start[word * this.history + 1] = this.of.words[name] as number;
    });
    return start;
  }

  word(name: string): number {
    const word = this.names.indexOf(name);
    if (word === -1) throw new Error(`there is no word ${name}`);
    return word;
  }

  /** How many values a word has had. */
  length(s: State, word: number): number {
    return s[word * this.history] as number;
  }

  last(s: State, word: number): number {
    return this.length(s, word) - 1;
  }

  value(s: State, word: number, index: number): number {
    return s[this.messageAt(word, index)] as number;
  }

  lastValue(s: State, word: number): number {
    return this.value(s, word, this.last(s, word));
  }

  /** Adds a value that carries nothing yet. */
  addValue(s: State, word: number, value: number): number {
    const index = this.length(s, word);
    if (index === MAX_VALUES) throw new Error(`too many values of ${this.names[word]}`);
    s[word * this.history] = index + 1;
    s[this.messageAt(word, index)] = value;
    return index;
  }

  private messageAt(word: number, index: number): number {
    return word * this.history + 1 + index * this.message;
  }

  /** Where the view is that a value carries. */
  carried(word: number, index: number): number {
    return this.messageAt(word, index) + 1;
  }

  /** Where the newest value of a word for seq_cst is. */
  newestSeqCst(word: number): number {
    return this.scAt + word;
  }

  reads(word: number): number {
    return this.readsAt + word;
  }

  /** Where the reads of a word are in a view. */
  shadow(word: number): number {
    return this.names.length + word;
  }

  /** Where a thread is in the state: at first its place in its program. */
  thread(i: number): number {
    return this.threadsAt + i * this.threadSize;
  }

  view(me: number): number {
    return me + 1 + REGISTERS.length;
  }

  registers(s: State, me: number): Registers {
    return Object.fromEntries(REGISTERS.map((name, i) => [name, s[me + 1 + i] as number]));
  }

  keepRegisters(s: State, me: number, registers: Registers): void {
    for (const [i, name] of REGISTERS.entries()) s[me + 1 + i] = registers[name] as number;
  }

  setRegister(s: State, me: number, name: string, value: number): void {
    s[me + 1 + REGISTERS.indexOf(name)] = value;
  }

  /** The view at `to` knows from now on what the one at `from` knows. */
  join(s: State, to: number, from: number): void {
    for (let i = 0; i < this.count; i++) {
      if ((s[from + i] as number) > (s[to + i] as number)) s[to + i] = s[from + i] as number;
    }
  }

  fail(s: State, what: string): void {
    if (!this.faults.includes(what)) this.faults.push(what);
    s[this.brokenAt] = this.faults.indexOf(what);
  }

  broken(s: State): string | undefined {
    return this.faults[s[this.brokenAt] as number] || undefined;
  }
}

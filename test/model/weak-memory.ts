// A machine with weakly ordered memory, as C11 has it and as arm64 may behave: programs of a few
// instructions whose loads may see old values and whose stores may become visible late, unless an
// order forbids it.
//
// Each word keeps all values that were stored to it. A thread has a view: the newest value of each
// word that it must know. A load may return that one or any newer one, so loads are reordered with
// loads, and stores, as others see them, with stores and loads. A release store carries the view of
// its thread; an acquire load that sees it joins that view with its own. Sequentially consistent
// accesses of a word are in one order as well. Plain data are checked for races: a reader must know
// the last write, a writer must know the last write and all reads.
//
// The stores to a word are in the order of the walk. A store that is reordered after a later load
// of the same thread appears here as the load of an old value; that is how Dekker's pattern fails.
import type { Model, Move, State } from "./explore.js";

export type Order = "relaxed" | "acquire" | "release" | "acq_rel" | "seq_cst";
export type Registers = Record<string, number>;
/** A word, or the one of several that registers choose. */
type Name = string | ((registers: Registers) => string);
type Value = number | ((registers: Registers) => number);

type Plain =
  | { readonly write: Name; readonly value: Value }
  | { readonly read: Name; readonly into: string };

export type Instruction = { readonly name: string } & (
  | { readonly load: string; readonly order: Order; readonly into: string }
  | { readonly store: string; readonly order: Order; readonly value: Value }
  | {
      readonly exchange: string;
      readonly order: Order;
      readonly value: Value;
      readonly into: string;
      /** Waits until the word has another value than 0: a sleep on an eventfd. */
      readonly waits?: boolean;
    }
  | Plain
  | { readonly lock: string; readonly order?: Order }
  | { readonly unlock: string; readonly order?: Order }
);

/** A step of a thread: an instruction, a label, a jump, a calculation, or a check. */
export type Step =
  | Instruction
  | { readonly label: string }
  | { readonly goto: string; readonly when?: (registers: Registers) => boolean }
  | { readonly set: (registers: Registers) => void }
  | { readonly check: (registers: Registers) => string | undefined };

export interface Programs {
  /** Words, with their first value. */
  readonly words: Readonly<Record<string, number>>;
  readonly threads: Readonly<Record<string, readonly Step[]>>;
  /** Describes the fault of a state in which no thread can continue. */
  readonly badEnd: (ended: Readonly<Record<string, boolean>>, read: Reader) => string | undefined;
}

/** The last value of a word. */
export type Reader = (word: string) => number;

const MAX_VALUES = 12;
const REGISTERS = ["a", "b", "c", "d", "n"];
const acquires = (order: Order) => order !== "relaxed" && order !== "release";
const releases = (order: Order) => order !== "relaxed" && order !== "acquire";

export function weakModel({ words, threads, badEnd }: Programs): Model {
  // every word has a shadow: the reads of it, where it holds plain data
  const names = Object.keys(words);
  const count = names.length * 2;
  const message = 1 + count; // a value and the view that it carries
  const history = 1 + MAX_VALUES * message; // its length, then the values
  const scAt = names.length * history; // the newest value of each word for seq_cst
  const broken = scAt + count;
  const reads = broken + 1; // how often each word was read
  const threadSize = 1 + REGISTERS.length + count;
  const threadsAt = reads + names.length;
  const programs = Object.entries(threads);
  const faults = [""];

  const start = new Uint8Array(threadsAt + programs.length * threadSize);
  names.forEach((name, word) => {
    start[word * history] = 1;
    start[word * history + 1] = words[name] as number;
  });

  const wordOf = (name: string) => {
    const word = names.indexOf(name);
    if (word === -1) throw new Error(`there is no word ${name}`);
    return word;
  };
  const length = (s: State, word: number) => s[word * history] as number;
  const messageAt = (word: number, index: number) => word * history + 1 + index * message;
  const last = (s: State, word: number) => length(s, word) - 1;

  function registersOf(s: State, me: number): Registers {
    return Object.fromEntries(REGISTERS.map((name, i) => [name, s[me + 1 + i] as number]));
  }

  function keep(s: State, me: number, registers: Registers): void {
    for (const [i, name] of REGISTERS.entries()) s[me + 1 + i] = registers[name] as number;
  }

  function setRegister(s: State, me: number, name: string, value: number): void {
    s[me + 1 + REGISTERS.indexOf(name)] = value;
  }

  function fail(s: State, what: string): void {
    if (!faults.includes(what)) faults.push(what);
    s[broken] = faults.indexOf(what);
  }

  const viewOf = (me: number) => me + 1 + REGISTERS.length;

  function join(s: State, to: number, from: number): void {
    for (let i = 0; i < count; i++) {
      if ((s[from + i] as number) > (s[to + i] as number)) s[to + i] = s[from + i] as number;
    }
  }

  function see(s: State, me: number, word: number, index: number, order: Order): number {
    const view = viewOf(me);
    if ((s[view + word] as number) < index) s[view + word] = index;
    if (acquires(order)) join(s, view, messageAt(word, index) + 1);
    if (order === "seq_cst" && (s[scAt + word] as number) < index) s[scAt + word] = index;
    return s[messageAt(word, index)] as number;
  }

  /** `carries`: an exchange goes on carrying what the value that it replaces has carried. */
  function append(s: State, me: number, word: number, value: number, order: Order, carries = -1) {
    const index = length(s, word);
    if (index === MAX_VALUES) throw new Error(`too many values of ${names[word]}`);
    s[word * history] = index + 1;
    const at = messageAt(word, index);
    s[at] = value;
    s[viewOf(me) + word] = index;
    if (carries !== -1) join(s, at + 1, messageAt(word, carries) + 1);
    if (releases(order)) join(s, at + 1, viewOf(me));
    if (order === "seq_cst") s[scAt + word] = index;
  }

  const resultOf = (value: Value, registers: Registers) =>
    typeof value === "number" ? value : value(registers);

  /** Makes an instruction in each way that memory allows. */
  function make(s: State, me: number, step: Instruction): State[] {
    const registers = registersOf(s, me);
    const to = s.slice();
    const view = viewOf(me);
    if ("load" in step) {
      const word = wordOf(step.load);
      const sc = step.order === "seq_cst" ? (s[scAt + word] as number) : 0;
      const oldest = Math.max(s[view + word] as number, sc);
      return Array.from({ length: length(s, word) - oldest }, (_, i) => {
        const copy = s.slice();
        setRegister(copy, me, step.into, see(copy, me, word, oldest + i, step.order));
        return copy;
      });
    }
    if ("store" in step) {
      append(to, me, wordOf(step.store), resultOf(step.value, registers), step.order);
      return [to];
    }
    if ("exchange" in step) {
      const word = wordOf(step.exchange);
      const index = last(s, word);
      if (step.waits && s[messageAt(word, index)] === 0) return [];
      setRegister(to, me, step.into, see(to, me, word, index, step.order));
      append(to, me, word, resultOf(step.value, registers), step.order, index);
      return [to];
    }
    if ("read" in step || "write" in step) return [plain(s, to, me, step, registers)];
    if ("lock" in step) {
      const word = wordOf(step.lock);
      const index = last(s, word);
      if (s[messageAt(word, index)] !== 0) return [];
      see(to, me, word, index, step.order ?? "acquire");
      append(to, me, word, 1, "relaxed");
      return [to];
    }
    append(to, me, wordOf(step.unlock), 0, step.order ?? "release");
    return [to];
  }

  function plain(s: State, to: State, me: number, step: Plain, registers: Registers): State {
    const name = "read" in step ? step.read : step.write;
    const word = wordOf(typeof name === "string" ? name : name(registers));
    const view = viewOf(me);
    const shadow = names.length + word;
    const knows = s[view + word] === last(s, word);
    if ("read" in step) {
      if (!knows) fail(to, "a data race");
      setRegister(to, me, step.into, s[messageAt(word, last(s, word))] as number);
      to[reads + word] = (s[reads + word] as number) + 1;
      to[view + shadow] = to[reads + word] as number;
    } else {
      if (!knows || s[view + shadow] !== s[reads + word]) fail(to, "a data race");
      append(to, me, word, resultOf(step.value, registers), "relaxed");
    }
    return to;
  }

  /** Goes to the next instruction: jumps and calculations are no moves. */
  function settle(s: State, me: number, program: readonly Step[]): void {
    for (;;) {
      const step = program[s[me] as number];
      if (step === undefined) return;
      if ("goto" in step) {
        const jumps = step.when?.(registersOf(s, me)) ?? true;
        const to = program.findIndex((other) => "label" in other && other.label === step.goto);
        if (to === -1) throw new Error(`there is no label ${step.goto}`);
        s[me] = jumps ? to : (s[me] as number) + 1;
      } else if ("set" in step) {
        const registers = registersOf(s, me);
        step.set(registers);
        keep(s, me, registers);
        s[me] = (s[me] as number) + 1;
      } else if ("check" in step) {
        const what = step.check(registersOf(s, me));
        if (what) fail(s, what);
        s[me] = (s[me] as number) + 1;
      } else if ("label" in step) {
        s[me] = (s[me] as number) + 1;
      } else {
        return;
      }
    }
  }

  programs.forEach(([, program], i) => {
    settle(start, threadsAt + i * threadSize, program);
  });

  function moves(s: State): Move[] {
    const found: Move[] = [];
    for (const [i, [who, program]] of programs.entries()) {
      const me = threadsAt + i * threadSize;
      const step = program[s[me] as number] as Instruction | undefined;
      if (step === undefined) continue;
      for (const to of make(s, me, step)) {
        to[me] = (to[me] as number) + 1;
        settle(to, me, program);
        found.push({ name: `${who}: ${step.name}`, to });
      }
    }
    return found;
  }

  return {
    start,
    moves,
    broken: (s) => faults[s[broken] as number] || undefined,
    badEnd: (s) => {
      const ended = programs.map(([who, program], i) => [
        who,
        (s[threadsAt + i * threadSize] as number) >= program.length,
      ]);
      return badEnd(Object.fromEntries(ended), (name) => {
        const word = wordOf(name);
        return s[messageAt(word, last(s, word))] as number;
      });
    },
  };
}

// The programs of weak-memory.ts: threads of a few instructions, with their memory orders.

export type Order = "relaxed" | "acquire" | "release" | "acq_rel" | "seq_cst";
export type Registers = Record<string, number>;
/** A word, or the one of several that registers choose. */
export type Name = string | ((registers: Registers) => string);
export type Value = number | ((registers: Registers) => number);

export type Plain =
  | { readonly write: Name; readonly value: Value }
  | { readonly read: Name; readonly into: string };

export type Instruction = { readonly name: string } & (
  | {
      readonly load: string;
      readonly order: Order;
      readonly into: string;
      /** Waits until it loads this value: a sleep on the word. */
      readonly until?: number;
    }
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

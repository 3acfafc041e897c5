// The effect of an instruction of weak-memory.ts on the memory, in each way that its order allows.
import type { State } from "./explore.js";
import type { Instruction, Order, Plain, Registers, Value } from "./weak-program.js";
import type { Memory } from "./weak-state.js";

type Of<Key extends string> = Extract<Instruction, { readonly [key in Key]: unknown }>;

const acquires = (order: Order) => order !== "relaxed" && order !== "release";
const releases = (order: Order) => order !== "relaxed" && order !== "acquire";

/** The states after the instruction of the thread `me`; none while it waits. */
export function statesAfter(memory: Memory, s: State, me: number, step: Instruction): State[] {
  if ("load" in step) return load(memory, s, me, step);
  if ("exchange" in step) return exchange(memory, s, me, step);
  if ("lock" in step) return lock(memory, s, me, step);
  const to = s.slice();
  if ("read" in step || "write" in step) {
    accessPlainData(memory, to, me, step);
  } else if ("store" in step) {
    const value = resultOf(step.value, memory.registers(s, me));
    append(memory, to, me, memory.word(step.store), value, step.order);
  } else {
    append(memory, to, me, memory.word(step.unlock), 0, step.order ?? "release");
  }
  return [to];
}

/** It may see each value from the newest one that the thread must know. */
function load(memory: Memory, s: State, me: number, step: Of<"load">): State[] {
  const word = memory.word(step.load);
  const sc = step.order === "seq_cst" ? (s[memory.newestSeqCst(word)] as number) : 0;
  const oldest = Math.max(s[memory.view(me) + word] as number, sc);
  const { until } = step;
  const indexes = Array.from({ length: memory.length(s, word) - oldest }, (_, i) => oldest + i);
  return indexes.flatMap((index) => {
    if (until !== undefined && memory.value(s, word, index) !== until) return [];
    const to = s.slice();
    memory.setRegister(to, me, step.into, see(memory, to, me, word, index, step.order));
    return [to];
  });
}

/** It sees the last value. */
function exchange(memory: Memory, s: State, me: number, step: Of<"exchange">): State[] {
  const word = memory.word(step.exchange);
  const index = memory.last(s, word);
  if (step.waits && memory.value(s, word, index) === 0) return [];
  const to = s.slice();
  memory.setRegister(to, me, step.into, see(memory, to, me, word, index, step.order));
  const value = resultOf(step.value, memory.registers(s, me));
  append(memory, to, me, word, value, step.order, index);
  return [to];
}

function lock(memory: Memory, s: State, me: number, step: Of<"lock">): State[] {
  const word = memory.word(step.lock);
  const index = memory.last(s, word);
  if (memory.value(s, word, index) !== 0) return [];
  const to = s.slice();
  see(memory, to, me, word, index, step.order ?? "acquire");
  append(memory, to, me, word, 1, "relaxed");
  return [to];
}

/** A reader must know the last write, a writer the last write and all reads. */
function accessPlainData(memory: Memory, to: State, me: number, step: Plain): void {
  const registers = memory.registers(to, me);
  const name = "read" in step ? step.read : step.write;
  const word = memory.word(typeof name === "string" ? name : name(registers));
  const view = memory.view(me);
  const reads = memory.reads(word);
  const shadow = view + memory.shadow(word);
  const knows = to[view + word] === memory.last(to, word);
  if ("read" in step) {
    if (!knows) memory.fail(to, "a data race");
    memory.setRegister(to, me, step.into, memory.lastValue(to, word));
    to[reads] = (to[reads] as number) + 1;
    to[shadow] = to[reads] as number;
  } else {
    if (!knows || to[shadow] !== to[reads]) memory.fail(to, "a data race");
    append(memory, to, me, word, resultOf(step.value, registers), "relaxed");
  }
}

/** Returns the value, and lets the thread know what it carries. */
function see(
  memory: Memory,
  s: State,
  me: number,
  word: number,
  index: number,
  order: Order,
): number {
  const view = memory.view(me);
  const newest = memory.newestSeqCst(word);
  if ((s[view + word] as number) < index) s[view + word] = index;
  if (acquires(order)) memory.join(s, view, memory.carried(word, index));
  if (order === "seq_cst" && (s[newest] as number) < index) s[newest] = index;
  return memory.value(s, word, index);
}

/** `carries`: an exchange goes on carrying what the value that it replaces has carried. */
function append(
  memory: Memory,
  s: State,
  me: number,
  word: number,
  value: number,
  order: Order,
  carries = -1,
): void {
  const index = memory.addValue(s, word, value);
  const carried = memory.carried(word, index);
  s[memory.view(me) + word] = index;
  if (carries !== -1) memory.join(s, carried, memory.carried(word, carries));
  if (releases(order)) memory.join(s, carried, memory.view(me));
  if (order === "seq_cst") s[memory.newestSeqCst(word)] = index;
}

function resultOf(value: Value, registers: Registers): number {
  return typeof value === "number" ? value : value(registers);
}

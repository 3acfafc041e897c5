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
import { statesAfter } from "./weak-access.js";
import type { Instruction, Programs, Step } from "./weak-program.js";
import { Memory } from "./weak-state.js";

export function weakModel(of: Programs): Model {
  const memory = new Memory(of);
  const start = memory.start();
  for (const [i, [, program]] of memory.programs.entries()) {
    settle(memory, start, memory.thread(i), program);
  }
  return {
    start,
    moves: (s) => movesOf(memory, s),
    broken: (s) => memory.broken(s),
    badEnd: (s) => {
      const ended = memory.programs.map(([who, program], i) => [
        who,
        (s[memory.thread(i)] as number) >= program.length,
      ]);
      return of.badEnd(Object.fromEntries(ended), (name) => memory.lastValue(s, memory.word(name)));
    },
  };
}

function movesOf(memory: Memory, s: State): Move[] {
  const found: Move[] = [];
  for (const [i, [who, program]] of memory.programs.entries()) {
    const me = memory.thread(i);
    const step = program[s[me] as number] as Instruction | undefined;
    if (step === undefined) continue;
    for (const to of statesAfter(memory, s, me, step)) {
      to[me] = (to[me] as number) + 1;
      settle(memory, to, me, program);
      found.push({ name: `${who}: ${step.name}`, to });
    }
  }
  return found;
}

/** Goes to the next instruction: jumps, calculations and checks are no moves. */
function settle(memory: Memory, s: State, me: number, program: readonly Step[]): void {
  for (;;) {
    const step = program[s[me] as number];
    if (step === undefined) return;
    const next = (s[me] as number) + 1;
    if ("goto" in step) {
      const jumps = step.when?.(memory.registers(s, me)) ?? true;
      const label = placeOf(program, step.goto);
      s[me] = jumps ? label : next;
    } else if ("set" in step) {
      const registers = memory.registers(s, me);
      step.set(registers);
      memory.keepRegisters(s, me, registers);
      s[me] = next;
    } else if ("check" in step) {
      const what = step.check(memory.registers(s, me));
      if (what) memory.fail(s, what);
      s[me] = next;
    } else if ("label" in step) {
      s[me] = next;
    } else {
      return;
    }
  }
}

function placeOf(program: readonly Step[], label: string): number {
  const place = program.findIndex((step) => "label" in step && step.label === label);
  if (place === -1) throw new Error(`there is no label ${label}`);
  return place;
}

// Visits all states of a small model, with every possible order of its moves, and finds: a state
// that breaks an invariant, a wrong final state (a thread never wakes up), and a livelock (a thread
// never sleeps).

/** A state is a few bytes; equal bytes are the same state. */
export type State = Uint8Array;

export interface Move {
  readonly name: string;
  readonly to: State;
}

export interface Model {
  readonly start: State;
  moves(state: State): Move[];
  /** Describes the fault of a state, whatever follows it. */
  broken(state: State): string | undefined;
  /** Describes the fault of a state without further moves. */
  badEnd(state: State): string | undefined;
}

export interface Verdict {
  readonly states: number;
  /** Names of all moves that were made. */
  readonly moves: ReadonlySet<string>;
  readonly fault?: { readonly what: string; readonly trace: readonly string[] };
}

const MAX_STATES = 3_000_000;

export function explore(model: Model): Verdict {
  const numbers = new Map<string, number>([[keyOf(model.start), 0]]);
  const states: State[] = [model.start];
  const parents = [-1];
  const names = [""];
  const successors: number[][] = [];
  const seen = new Set<string>();
  const fault = (at: number, what: string): Verdict => ({
    states: states.length,
    moves: seen,
    fault: { what, trace: traceTo(at, parents, names) },
  });

  // Breadth first, so that a trace is a shortest one.
  for (let at = 0; at < states.length; at++) {
    const state = states[at] as State;
    const broken = model.broken(state);
    if (broken) return fault(at, broken);
    const moves = model.moves(state);
    if (moves.length === 0) {
      const bad = model.badEnd(state);
      if (bad) return fault(at, bad);
    }
    successors.push(
      moves.map(({ name, to }) => {
        seen.add(name);
        const key = keyOf(to);
        const known = numbers.get(key);
        if (known !== undefined) return known;
        numbers.set(key, states.length);
        states.push(to);
        parents.push(at);
        names.push(name);
        return states.length - 1;
      }),
    );
    if (states.length > MAX_STATES) throw new Error("the model is too large to be walked");
  }
  const circling = findCircle(successors);
  if (circling !== undefined) return fault(circling, "goes in circles");
  return { states: states.length, moves: seen };
}

function keyOf(state: State): string {
  return Buffer.from(state.buffer, state.byteOffset, state.length).toString("latin1");
}

function traceTo(at: number, parents: readonly number[], names: readonly string[]): string[] {
  const trace: string[] = [];
  for (let i = at; i > 0; i = parents[i] as number) trace.push(names[i] as string);
  return trace.reverse();
}

/** A state on or behind a circle: what is left when states without a way in are taken away. */
function findCircle(successors: readonly (readonly number[])[]): number | undefined {
  const ways = new Uint32Array(successors.length);
  for (const all of successors) for (const to of all) ways[to] = (ways[to] as number) + 1;
  const free: number[] = [0];
  let taken = 0;
  while (free.length > 0) {
    const at = free.pop() as number;
    taken++;
    for (const to of successors[at] as readonly number[]) {
      ways[to] = (ways[to] as number) - 1;
      if (ways[to] === 0) free.push(to);
    }
  }
  if (taken === successors.length) return undefined;
  return ways.findIndex((count) => count > 0);
}

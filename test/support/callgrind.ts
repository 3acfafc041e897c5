// Reads what callgrind writes (the format "callgrind"): instructions of functions, and calls of
// functions in other object files.
export interface Counted {
  /** Instructions of the object itself, without the functions that it calls in other objects. */
  readonly instructions: number;
  /** Calls of functions in other objects: locks, clocks, copies, system calls. */
  readonly outside: number;
}

/** A function's own instructions at one line, or its calls of another object. */
interface Entry {
  readonly object: string;
  readonly name: string;
  readonly instructions: number;
  readonly outside: number;
}

/** `object`: the end of the path of the object file. */
export function countsOfObject(profile: string, object: string): Counted {
  let instructions = 0;
  let outside = 0;
  for (const entry of entriesOf(profile)) {
    if (!entry.object.endsWith(object)) continue;
    instructions += entry.instructions;
    outside += entry.outside;
  }
  return { instructions, outside };
}

/** Instructions of the functions that `isCounted` accepts, without the functions that they call. */
export function instructionsOf(
  profile: string,
  isCounted: (object: string, name: string) => boolean,
): number {
  let sum = 0;
  for (const { object, name, instructions } of entriesOf(profile)) {
    if (isCounted(object, name)) sum += instructions;
  }
  return sum;
}

function* entriesOf(profile: string): Generator<Entry> {
  const objects = new Map<string, string>();
  const functions = new Map<string, string>();
  let object = "";
  let name = "";
  let called: string | undefined;
  let isInclusive = false;
  for (const line of profile.split("\n")) {
    const [, key, value = ""] = /^(ob|cob|fn|cfn|calls)=(.*)$/.exec(line) ?? [];
    if (key === "ob") object = nameIn(objects, value);
    else if (key === "cob") called = nameIn(objects, value);
    else if (key === "fn") name = nameIn(functions, value);
    else if (key === "cfn") nameIn(functions, value);
    else if (key === "calls") {
      const isOutside = called !== undefined && called !== object;
      if (isOutside) yield { object, name, instructions: 0, outside: Number.parseInt(value, 10) };
      called = undefined;
      isInclusive = true; // the next line has the cost of the called function
    } else if (/^[+\-*\d]/.test(line)) {
      if (!isInclusive) {
        yield { object, name, instructions: Number(line.split(" ")[1]), outside: 0 };
      }
      isInclusive = false;
    }
  }
}

/** A name is written once, with a number: "(3) libc.so.6"; later its number: "(3)". */
function nameIn(names: Map<string, string>, text: string): string {
  const [, number = "", name = ""] = /^(\(\d+\))(?: (.*))?$/.exec(text) ?? [];
  if (name !== "") names.set(number, name);
  return names.get(number) ?? text;
}

// Reads what callgrind writes (the format "callgrind"): instructions of one object file, and its
// calls into others.
export interface Counted {
  /** Instructions of the object itself, without the functions that it calls in other objects. */
  readonly instructions: number;
  /** Calls of functions in other objects: locks, clocks, copies, system calls. */
  readonly outside: number;
}

/** `object`: the end of the path of the object file. */
export function countsOfObject(profile: string, object: string): Counted {
  const names = new Map<string, string>();
  let own = "";
  let called: string | undefined;
  let isInclusive = false;
  let instructions = 0;
  let outside = 0;
  for (const line of profile.split("\n")) {
    const [, key, value = ""] = /^(ob|cob|calls)=(.*)$/.exec(line) ?? [];
    if (key === "ob") own = nameIn(names, value);
    else if (key === "cob") called = nameIn(names, value);
    else if (key === "calls") {
      const isOutside = called !== undefined && called !== own;
      if (own.endsWith(object) && isOutside) outside += Number.parseInt(value, 10);
      called = undefined;
      isInclusive = true; // the next line has the cost of the called function
    } else if (/^[+\-*\d]/.test(line)) {
      if (!isInclusive && own.endsWith(object)) instructions += Number(line.split(" ")[1]);
      isInclusive = false;
    }
  }
  return { instructions, outside };
}

/** A name is written once, with a number: "(3) libc.so.6"; later its number: "(3)". */
function nameIn(names: Map<string, string>, text: string): string {
  const [, number = "", name = ""] = /^(\(\d+\))(?: (.*))?$/.exec(text) ?? [];
  if (name !== "") names.set(number, name);
  return names.get(number) ?? text;
}

// The credit of a stream, as a model: notes.c and stream.c of the runtime's side, nffi_host_credit
// and nffi__host_note of the host's. One thread writes chunks and waits when the reader is behind;
// the host reads. That the host hears of chunks is in wake-model.ts.
import type { Model, Move, State } from "./explore.js";

export const CREDIT_STEPS = [
  "blocked: look again",
  "blocked: seq_cst",
  "read: seq_cst",
  "note: clear the mark first",
  "note: wake",
  "wait: look at notes",
] as const;

export type CreditStep = (typeof CREDIT_STEPS)[number];

export interface CreditSetting {
  readonly chunks: number;
  /** NFFI__CHUNKS: the maximum of unread chunks. */
  readonly most: number;
  readonly without?: CreditStep;
}

const WORDS = [
  ...["written", "taken", "read", "blocked", "noted", "notesTail", "notesHead"],
  ...["parked", "tasksFd", "host", "writer", "waits", "clearDue"],
  // one delayed store each: word + 1, value
  ...["hostBuffer", "hostValue", "writerBuffer", "writerValue"],
] as const;
type Word = (typeof WORDS)[number];
const at = Object.fromEntries(WORDS.map((word, index) => [word, index])) as Record<Word, number>;

const H = { idle: 0, blocked: 1, unblock: 2, note: 3, publish: 4, look: 5, take: 6, wake: 7 };
const W = {
  ...{ first: 0, block: 1, second: 2, unblock: 3, write: 4, notes: 5, clear: 6, park: 7 },
  ...{ look: 8, sleep: 9, clearFd: 10, revoke: 11, over: 12 },
};

export function creditModel(setting: CreditSetting): Model {
  const has = (step: CreditStep) => setting.without !== step;
  const start = new Uint8Array(WORDS.length);
  const get = (s: State, word: Word) => s[at[word]] as number;

  function load(s: State, side: "host" | "writer", word: Word): number {
    return get(s, `${side}Buffer`) === at[word] + 1 ? get(s, `${side}Value`) : get(s, word);
  }

  function land(s: State, side: "host" | "writer"): void {
    const word = get(s, `${side}Buffer`);
    if (word === 0) return;
    s[word - 1] = get(s, `${side}Value`);
    s[at[`${side}Buffer`]] = 0;
    s[at[`${side}Value`]] = 0;
  }

  function store(s: State, side: "host" | "writer", word: Word, value: number, strong: boolean) {
    land(s, side);
    if (strong) {
      s[at[word]] = value;
    } else {
      s[at[`${side}Buffer`]] = at[word] + 1;
      s[at[`${side}Value`]] = value;
    }
  }

  function moves(s: State): Move[] {
    const found: Move[] = [];
    const add = (side: "host" | "writer", name: string, change: (to: State) => void) => {
      const to = s.slice();
      change(to);
      found.push({ name: `${side}: ${name}`, to });
    };
    for (const side of ["host", "writer"] as const) {
      if (get(s, `${side}Buffer`) !== 0) add(side, "a delayed store lands", (to) => land(to, side));
    }
    hostMoves(s, (name, change) => add("host", name, change));
    writerMoves(s, (name, change) => add("writer", name, change));
    return found;
  }

  type Add = (name: string, change: (to: State) => void) => void;

  function hostMoves(s: State, add: Add): void {
    const go = (to: State, place: number) => {
      to[at.host] = place;
    };
    switch (get(s, "host")) {
      case H.idle:
        if (get(s, "taken") < get(s, "written")) {
          add("nffi_host_collect", (to) => {
            to[at.taken] = get(s, "written");
          });
        }
        if (load(s, "host", "read") < get(s, "taken")) {
          add("nffi_host_credit: chunks_read", (to) => {
            const read = load(s, "host", "read") + 1;
            store(to, "host", "read", read, has("read: seq_cst"));
            // notified when half of the window is free
            go(to, get(s, "taken") - read <= setting.most / 2 ? H.blocked : H.idle);
          });
        }
        break;
      case H.blocked:
        add("nffi_host_credit: blocked", (to) =>
          go(to, load(s, "host", "blocked") ? H.unblock : H.idle),
        );
        break;
      case H.unblock:
        add("nffi_host_credit: exchange", (to) => {
          land(to, "host");
          go(to, get(to, "blocked") ? H.note : H.idle);
          to[at.blocked] = 0;
        });
        break;
      case H.note:
        add("nffi__host_note: exchange", (to) => {
          land(to, "host");
          go(to, get(to, "noted") ? H.idle : H.publish);
          to[at.noted] = 1;
        });
        break;
      case H.publish:
        add("nffi__host_note: nffi__ring_publish", (to) => {
          store(to, "host", "notesTail", get(s, "notesTail") + 1, true);
          go(to, has("note: wake") ? H.look : H.idle);
        });
        break;
      case H.look:
        add("nffi__must_wake: load", (to) => go(to, load(s, "host", "parked") ? H.take : H.idle));
        break;
      case H.take:
        add("nffi__must_wake: exchange", (to) => {
          land(to, "host");
          go(to, get(to, "parked") ? H.wake : H.idle);
          to[at.parked] = 0;
        });
        break;
      case H.wake:
        add("nffi__host_wake_runtime", (to) => {
          to[at.tasksFd] = 1;
          go(to, H.idle);
        });
        break;
    }
  }

  function writerMoves(s: State, add: Add): void {
    const go = (to: State, place: number) => {
      to[at.writer] = place;
    };
    const room = () => get(s, "written") - load(s, "writer", "read") < setting.most;
    // no credit: wait, or go to sleep when that was found while waiting
    const none = get(s, "waits") === 1 ? W.park : W.notes;
    switch (get(s, "writer")) {
      case W.first:
        add("nffi__has_credit: take_credit", (to) => go(to, room() ? W.write : W.block));
        break;
      case W.block:
        add("nffi__has_credit: blocked", (to) => {
          store(to, "writer", "blocked", 1, has("blocked: seq_cst"));
          go(to, has("blocked: look again") ? W.second : none);
        });
        break;
      case W.second:
        add("nffi__has_credit: take_credit", (to) => go(to, room() ? W.unblock : none));
        break;
      case W.unblock:
        add("nffi__has_credit: blocked", (to) => {
          store(to, "writer", "blocked", 0, false);
          go(to, W.write);
        });
        break;
      case W.write:
        // its response is published under the mutex: what was delayed has landed
        add("nffi_stream_write", (to) => {
          land(to, "writer");
          to[at.written] = get(s, "written") + 1;
          to[at.waits] = 0;
          go(to, get(to, "written") === setting.chunks ? W.over : W.first);
        });
        break;
      case W.notes:
        add("nffi_stream_wait: nffi__take_notes", (to) => {
          to[at.waits] = 1;
          const came = get(s, "notesTail") > get(s, "notesHead");
          to[at.notesHead] = get(s, "notesTail");
          to[at.clearDue] = came && !has("note: clear the mark first") ? 1 : 0;
          go(to, came && has("note: clear the mark first") ? W.clear : W.first);
        });
        break;
      case W.clear:
        add("take_note: exchange", (to) => {
          land(to, "writer");
          to[at.noted] = 0;
          const late = get(s, "clearDue") === 1;
          to[at.clearDue] = 0;
          go(to, late ? W.park : W.first);
        });
        break;
      case W.park:
        if (get(s, "clearDue") === 1) {
          add("take_note: too late", (to) => go(to, W.clear));
          break;
        }
        add("lead: nffi__announce_parked", (to) => {
          store(to, "writer", "parked", 1, true);
          go(to, has("wait: look at notes") ? W.look : W.sleep);
        });
        break;
      case W.look:
        add("lead: has_notes", (to) =>
          go(to, get(s, "notesTail") > get(s, "notesHead") ? W.revoke : W.sleep),
        );
        break;
      case W.sleep:
        if (get(s, "tasksFd") === 1) add("lead: poll", (to) => go(to, W.clearFd));
        break;
      case W.clearFd:
        add("nffi__eventfd_clear", (to) => {
          land(to, "writer");
          to[at.tasksFd] = 0;
          go(to, W.revoke);
        });
        break;
      case W.revoke:
        add("lead: nffi__revoke_parked", (to) => {
          store(to, "writer", "parked", 0, false);
          go(to, W.notes);
        });
        break;
    }
  }

  function badEnd(s: State): string | undefined {
    if (get(s, "writer") !== W.over) return "a writer waits for ever";
    if (get(s, "read") < get(s, "written")) return "a chunk is not read";
    return undefined;
  }

  return { start, moves, broken: () => undefined, badEnd };
}

// The writer of credit-model.ts: nffi_stream_write and nffi_stream_wait of stream.c and notes.c.
import { at, type Turn, W } from "./credit-state.js";

type Moves = Readonly<Record<number, (turn: Turn) => void>>;

export const WRITER_MOVES: Moves = {
  [W.first]: (turn) =>
    turn.move("nffi__has_credit: take_credit", (to) =>
      turn.go(to, hasRoom(turn) ? W.write : W.block),
    ),
  [W.block]: (turn) =>
    turn.move("nffi__has_credit: blocked", (to) => {
      turn.store(to, "blocked", 1, turn.has("blocked: seq_cst"));
      turn.go(to, turn.has("blocked: look again") ? W.second : withoutCredit(turn));
    }),
  [W.second]: (turn) =>
    turn.move("nffi__has_credit: take_credit", (to) =>
      turn.go(to, hasRoom(turn) ? W.unblock : withoutCredit(turn)),
    ),
  [W.unblock]: (turn) =>
    turn.move("nffi__has_credit: blocked", (to) => {
      turn.store(to, "blocked", 0, false);
      turn.go(to, W.write);
    }),
  [W.write]: write,
  [W.notes]: takeNotes,
  [W.clear]: (turn) =>
    turn.move("take_note: exchange", (to) => {
      turn.land(to);
      to[at.noted] = 0;
      to[at.clearDue] = 0;
      turn.go(to, turn.get("clearDue") === 1 ? W.park : W.first);
    }),
  [W.park]: park,
  [W.look]: (turn) =>
    turn.move("lead: has_notes", (to) => turn.go(to, notesWait(turn) ? W.revoke : W.sleep)),
  [W.sleep]: (turn) => {
    if (turn.get("tasksFd") === 1) turn.move("lead: poll", (to) => turn.go(to, W.clearFd));
  },
  [W.clearFd]: (turn) =>
    turn.move("nffi__eventfd_clear", (to) => {
      turn.land(to);
      to[at.tasksFd] = 0;
      turn.go(to, W.revoke);
    }),
  [W.revoke]: (turn) =>
    turn.move("lead: nffi__revoke_parked", (to) => {
      turn.store(to, "parked", 0, false);
      turn.go(to, W.notes);
    }),
};

function hasRoom(turn: Turn): boolean {
  return turn.get("written") - turn.load("read") < turn.setting.most;
}

function notesWait(turn: Turn): boolean {
  return turn.get("notesTail") > turn.get("notesHead");
}

/** It waits, or goes to sleep if it has waited already. */
function withoutCredit(turn: Turn): number {
  return turn.get("waits") === 1 ? W.park : W.notes;
}

/** Its response is published under the mutex: what was delayed has landed. */
function write(turn: Turn): void {
  turn.move("nffi_stream_write", (to) => {
    turn.land(to);
    to[at.written] = turn.get("written") + 1;
    to[at.waits] = 0;
    turn.go(to, to[at.written] === turn.setting.chunks ? W.over : W.first);
  });
}

function takeNotes(turn: Turn): void {
  turn.move("nffi_stream_wait: nffi__take_notes", (to) => {
    to[at.waits] = 1;
    to[at.notesHead] = turn.get("notesTail");
    const clearsFirst = turn.has("note: clear the mark first");
    const came = notesWait(turn);
    to[at.clearDue] = came && !clearsFirst ? 1 : 0;
    turn.go(to, came && clearsFirst ? W.clear : W.first);
  });
}

function park(turn: Turn): void {
  if (turn.get("clearDue") === 1) {
    turn.move("take_note: too late", (to) => turn.go(to, W.clear));
    return;
  }
  turn.move("lead: nffi__announce_parked", (to) => {
    turn.store(to, "parked", 1, true);
    turn.go(to, turn.has("wait: look at notes") ? W.look : W.sleep);
  });
}

// The host of credit-model.ts: nffi_host_credit and nffi__host_note.
import { at, H, type Turn } from "./credit-state.js";

type Moves = Readonly<Record<number, (turn: Turn) => void>>;

export const HOST_MOVES: Moves = {
  [H.idle]: (turn) => {
    collect(turn);
    read(turn);
  },
  [H.blocked]: (turn) =>
    turn.move("nffi_host_credit: blocked", (to) =>
      turn.go(to, turn.load("blocked") ? H.unblock : H.idle),
    ),
  [H.unblock]: (turn) =>
    turn.move("nffi_host_credit: exchange", (to) => {
      turn.land(to);
      turn.go(to, to[at.blocked] ? H.note : H.idle);
      to[at.blocked] = 0;
    }),
  [H.note]: (turn) =>
    turn.move("nffi__host_note: exchange", (to) => {
      turn.land(to);
      turn.go(to, to[at.noted] ? H.idle : H.publish);
      to[at.noted] = 1;
    }),
  [H.publish]: (turn) =>
    turn.move("nffi__host_note: nffi__ring_publish", (to) => {
      turn.store(to, "notesTail", turn.get("notesTail") + 1, true);
      turn.go(to, turn.has("note: wake") ? H.look : H.idle);
    }),
  [H.look]: (turn) =>
    turn.move("nffi__must_wake: load", (to) => turn.go(to, turn.load("parked") ? H.take : H.idle)),
  [H.take]: (turn) =>
    turn.move("nffi__must_wake: exchange", (to) => {
      turn.land(to);
      turn.go(to, to[at.parked] ? H.wake : H.idle);
      to[at.parked] = 0;
    }),
  [H.wake]: (turn) =>
    turn.move("nffi__host_wake_runtime", (to) => {
      to[at.tasksFd] = 1;
      turn.go(to, H.idle);
    }),
};

function collect(turn: Turn): void {
  if (turn.get("taken") >= turn.get("written")) return;
  turn.move("nffi_host_collect", (to) => {
    to[at.taken] = turn.get("written");
  });
}

function read(turn: Turn): void {
  if (turn.load("read") >= turn.get("taken")) return;
  turn.move("nffi_host_credit: chunks_read", (to) => {
    const count = turn.load("read") + 1;
    turn.store(to, "read", count, turn.has("read: seq_cst"));
    // notified when half of the window is free
    turn.go(to, turn.get("taken") - count <= turn.setting.most / 2 ? H.blocked : H.idle);
  });
}

// The host of close-model.ts: nffi_host_close and nffi__queue_try_end.
import { HOST, type Step, type Turn } from "./close-state.js";

export const HOST_STEPS: Readonly<Record<number, Step>> = {
  [HOST.close]: (turn) => {
    turn.set("closed", 1);
    turn.go(HOST.try);
    return "nffi_host_close";
  },
  [HOST.busy]: (turn) => {
    if (!turn.isFree() || !turn.has("try the mutex again")) return undefined;
    turn.go(HOST.try);
    return "again after a while";
  },
  [HOST.wait]: (turn) => {
    if (!turn.get("events")) return undefined;
    turn.set("events", 0);
    turn.go(HOST.try);
    return "is notified";
  },
  [HOST.try]: tryEnd,
};

function tryEnd(turn: Turn): string {
  if (!turn.isFree()) {
    turn.go(HOST.busy);
    return "nffi__queue_try_end finds the mutex taken";
  }
  turn.set("hostClosed", 1);
  if (turn.isUnused()) free(turn);
  else waitForLast(turn);
  return "nffi__queue_try_end";
}

function free(turn: Turn): void {
  turn.set("live", 0);
  turn.set("hostClosed", 0);
  turn.set("freed", 1);
  turn.go(HOST.over);
}

function waitForLast(turn: Turn): void {
  if (turn.has("forget that it was told")) turn.set("told", 0);
  turn.go(HOST.wait);
}

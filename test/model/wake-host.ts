// The event loop of wake-model.ts: submit.c, host.c, collect.c and the glue.
import type { Move, State } from "./explore.js";
import { at, H, ON, R } from "./wake-state.js";
import { HOST_BUFFER, Turn, threadAt, type World } from "./wake-turn.js";

/** `closing` while nffi_host_close runs; 1: it may be called. */
const CLOSES = 2;

export function hostMoves(s: State, world: World, found: Move[]): void {
  const turn = new Turn(s, world, "host", HOST_BUFFER, at.host, found);
  MOVES[turn.get("host")]?.(turn);
}

const MOVES: Readonly<Record<number, (turn: Turn) => void>> = {
  [H.idle]: (turn) => {
    submit(turn);
    cancel(turn);
    close(turn);
    wake(turn);
  },
  [H.look]: (turn) =>
    turn.move("nffi__must_wake: load", (to) =>
      turn.go(to, turn.load("runtimeParked") ? H.take : woken(turn)),
    ),
  [H.take]: (turn) =>
    turn.move("nffi__must_wake: exchange", (to) => {
      turn.land(to);
      const parked = to[at.runtimeParked] as number;
      if (parked === ON.word) turn.go(to, H.wakeWord);
      else turn.go(to, parked === ON.descriptor ? H.write : woken(turn));
      to[at.runtimeParked] = 0;
    }),
  [H.write]: (turn) =>
    turn.move("nffi__host_signal_runtime: nffi__eventfd_signal", (to) => {
      turn.land(to);
      to[at.tasksFd] = 1;
      turn.go(to, woken(turn));
    }),
  [H.wakeWord]: (turn) =>
    turn.move("nffi__host_signal_runtime: nffi__word_wake", (to) => {
      turn.land(to);
      for (let i = 0; i < turn.world.threads; i++) {
        if (to[threadAt(i)] === R.asleep) to[threadAt(i)] = R.relock;
      }
      turn.go(to, woken(turn));
    }),
  [H.closeWrite]: (turn) =>
    turn.move("nffi_host_close: nffi__eventfd_signal", (to) => {
      turn.land(to);
      to[at.tasksFd] = 1;
      to[at.closing] = 0;
      turn.go(to, H.idle);
    }),
  [H.clear]: (turn) =>
    turn.move("ngx_http_lua_nffi_wake_handler", (to) => {
      turn.land(to);
      to[at.woken] = 0;
      to[at.clearDue] = 0;
      turn.go(to, turn.has("woken: clear first") ? H.collect : H.idle);
    }),
  [H.collect]: collect,
  [H.park]: (turn) =>
    turn.move("nffi_host_park: nffi__announce_parked", (to) => {
      turn.store(to, "hostParked", 1, turn.has("park: seq_cst"));
      turn.go(to, turn.has("park: look again") ? H.again : collected(turn));
    }),
  [H.again]: (turn) =>
    turn.move("nffi_host_park: nffi__ring_waiting", (to) => {
      const waits = turn.load("doneTail") > turn.get("doneHead");
      if (!turn.has("park: announce first")) turn.go(to, waits ? H.collect : H.announceLate);
      else turn.go(to, waits ? H.revoke : collected(turn));
    }),
  [H.announceLate]: (turn) =>
    turn.move("nffi_host_park: nffi__announce_parked", (to) => {
      turn.store(to, "hostParked", 1);
      turn.go(to, collected(turn));
    }),
  [H.revoke]: (turn) =>
    turn.move("nffi_host_park: nffi__revoke_parked", (to) => {
      turn.store(to, "hostParked", 0, false);
      to[at.collectPosted] = 1;
      turn.go(to, collected(turn));
    }),
};

/** The next place after it has woken the runtime: a host that closes writes the eventfd as well. */
function woken(turn: Turn): number {
  return turn.get("closing") === CLOSES ? H.closeWrite : H.idle;
}

/** The next place after it collects: without its step, the handler clears the mark now. */
function collected(turn: Turn): number {
  return turn.get("clearDue") === 1 ? H.clear : H.idle;
}

function submit(turn: Turn): void {
  if (turn.load("tasksTail") >= turn.world.setting.tasks || turn.get("closed") !== 0) return;
  turn.move("nffi_host_submit: nffi__ring_publish", (to) => {
    turn.store(to, "tasksTail", turn.load("tasksTail") + 1, turn.has("submit: seq_cst"));
    turn.go(to, H.look);
  });
}

function cancel(turn: Turn): void {
  if (turn.get("cancels") === 0) return;
  for (let task = turn.get("doneTail"); task < turn.load("tasksTail"); task++) {
    if ((turn.get("cancelled") >> task) & 1) continue;
    turn.move("nffi_host_cancel: nffi__ring_publish", (to) => {
      to[at.cancels] = turn.get("cancels") - 1;
      to[at.cancelled] = turn.get("cancelled") | (1 << task);
      turn.store(to, "notesTail", turn.get("notesTail") + 1);
      turn.go(to, H.look);
    });
  }
}

function close(turn: Turn): void {
  if (turn.get("closing") !== 1) return;
  turn.move("nffi_host_close", (to) => {
    to[at.closing] = turn.has("close: wake") ? CLOSES : 0;
    turn.store(to, "closed", 1);
    turn.go(to, turn.has("close: wake") ? H.look : H.idle);
  });
}

/** The event loop wakes up: by the eventfd of a process, else by nginx's thread pool. */
function wake(turn: Turn): void {
  const { process = false } = turn.world.setting;
  if (turn.get("notified") === 1) {
    turn.move(process ? "ngx_epoll_process_events" : "ngx_thread_pool_handler", (to) => {
      turn.land(to);
      to[at.notified] = 0;
      if (process) turn.go(to, H.collect);
      else takeDoneQueue(turn, to);
    });
  }
  if (turn.get("collectPosted") === 1) {
    turn.move("ngx_http_lua_nffi_collect_handler", (to) => {
      to[at.collectPosted] = 0;
      turn.go(to, H.collect);
    });
  }
}

/** ngx_thread_pool_handler takes the whole list, then calls the handlers. */
function takeDoneQueue(turn: Turn, to: State): void {
  to[at.linked] = 0;
  if (turn.get("linked") === 0) return;
  to[at.clearDue] = turn.has("woken: clear first") ? 0 : 1;
  turn.go(to, turn.has("woken: clear first") ? H.clear : H.collect);
}

/** A turn takes one response, so that it often does not suffice. */
function collect(turn: Turn): void {
  turn.move("nffi_host_collect", (to) => {
    if (turn.load("doneTail") > turn.get("doneHead")) {
      to[at.doneHead] = turn.get("doneHead") + 1;
      to[at.collectPosted] = turn.has("collect: go on") ? 1 : 0;
      turn.go(to, collected(turn));
    } else {
      turn.go(to, turn.has("park: announce first") ? H.park : H.again);
    }
  });
}

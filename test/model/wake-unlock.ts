// nffi__unlock_and_wake in wake-model.ts: a thread of the runtime leaves the mutex and wakes the
// host if that is due and the host has parked.
import { at, type WakePlaces } from "./wake-state.js";
import type { ThreadTurn } from "./wake-turn.js";

/** Adds the moves of a thread in one of these places; false: it is in another. */
export function unlockAndWake(turn: ThreadTurn, places: WakePlaces, then: number): boolean {
  switch (turn.s[turn.me]) {
    case places.look:
      turn.move("nffi__unlock_and_wake: nffi__must_wake: load", (to) => {
        const parked = turn.get("wakeDue") === 1 && turn.load("hostParked") === 1;
        to[at.wakeDue] = 0;
        turn.go(to, parked ? places.take : places.unlock);
      });
      return true;
    case places.unlock:
      // a locked instruction: what was delayed has landed afterwards
      turn.move("nffi__unlock_and_wake: pthread_mutex_unlock", (to) => {
        turn.unlock(to);
        turn.go(to, then);
      });
      return true;
    case places.take:
      turn.move("nffi__unlock_and_wake: nffi__must_wake: exchange", (to) => {
        turn.land(to);
        turn.go(to, to[at.hostParked] ? places.signal : then);
        to[at.hostParked] = 0;
        turn.unlock(to);
      });
      return true;
    case places.signal:
      signal(turn, places, then);
      return true;
    case places.post:
      turn.move("ngx_thread_pool_post_done", (to) => {
        to[at.linked] = turn.get("linked") + 1;
        turn.go(to, places.notify);
      });
      return true;
    case places.notify:
      turn.move("ngx_notify", (to) => {
        to[at.notified] = 1;
        turn.go(to, then);
      });
      return true;
  }
  return false;
}

function signal(turn: ThreadTurn, places: WakePlaces, then: number): void {
  if (turn.world.setting.process) {
    turn.move("signal_host: write", (to) => {
      to[at.notified] = 1;
      turn.go(to, then);
    });
  } else {
    turn.move("ngx_http_lua_nffi_wake_post", (to) => {
      turn.go(to, turn.has("wake: once") && turn.get("woken") === 1 ? then : places.post);
      to[at.woken] = 1;
    });
  }
}

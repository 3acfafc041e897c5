// How a thread of the runtime in wake-model.ts sleeps until there is a task: a poller leads or
// follows (wait.c), an event loop arms the descriptor (nffi_queue_arm).
import { at, ON, R } from "./wake-state.js";
import type { ThreadTurn } from "./wake-turn.js";

type Moves = Readonly<Record<number, (turn: ThreadTurn) => void>>;

/** The leader sleeps until the host signals; a follower until another thread does. */
export const LEAD_MOVES: Moves = {
  [R.lookNotes]: (turn) =>
    turn.move("lead: has_notes", (to) => {
      const next = turn.has("lead: look again") ? R.look : R.lookClosed;
      turn.go(to, turn.notesWait() ? R.revoke : next);
    }),
  [R.look]: (turn) =>
    turn.move("lead: has_tasks: nffi__ring_waiting", (to) =>
      turn.go(to, turn.tasksWait() ? R.revoke : R.lookClosed),
    ),
  [R.lookClosed]: (turn) =>
    turn.move("lead: has_tasks: closed", (to) => {
      if (turn.load("closed")) {
        turn.go(to, R.revoke);
      } else {
        turn.unlock(to);
        turn.go(to, R.sleep);
      }
    }),
  [R.sleep]: (turn) => {
    if (!turn.world.setting.process) sleepOnWord(turn);
    else if (turn.get("tasksFd") === 1) turn.move("lead: poll", (to) => turn.go(to, R.clear));
  },
  [R.clear]: (turn) =>
    turn.move("nffi__eventfd_clear", (to) => {
      to[at.tasksFd] = 0;
      turn.go(to, R.relock);
    }),
  [R.relock]: (turn) => turn.lock("lead: pthread_mutex_lock", R.revoke),
  [R.revoke]: (turn) =>
    turn.move("lead: nffi__revoke_parked", (to) => {
      turn.store(to, "runtimeParked", 0, false);
      to[at.led] = 0;
      turn.go(to, R.notes);
    }),
  [R.followed]: (turn) => turn.lock("follow: pthread_cond_wait returns", R.notes),
};

export const ARM_MOVES: Moves = {
  [R.armLock]: (turn) => {
    if (turn.tasksWait() && turn.get("mutex") === 0) {
      turn.move("nffi_queue_arm: found_tasks", (to) => {
        turn.land(to);
        turn.go(to, R.cancelled);
      });
    }
    turn.lock(
      "nffi_queue_arm: pthread_mutex_lock",
      turn.has("arm: clear first") ? R.armClear : R.armAnnounce,
    );
  },
  [R.armClear]: (turn) =>
    turn.move("nffi_queue_arm: nffi__eventfd_clear", (to) => {
      to[at.tasksFd] = 0;
      turn.go(to, R.armAnnounce);
    }),
  [R.armAnnounce]: (turn) =>
    turn.move("nffi_queue_arm: nffi__announce_parked", (to) => {
      turn.store(to, "runtimeParked", 1);
      turn.go(to, turn.has("arm: notes") ? R.armNotes : afterNotes(turn));
    }),
  [R.armNotes]: (turn) =>
    turn.move("nffi_queue_arm: nffi__take_notes", (to) => {
      turn.takeNotes(to);
      turn.go(to, afterNotes(turn));
    }),
  [R.armLook]: (turn) =>
    turn.move("nffi_queue_arm: nffi__ring_waiting", (to) => {
      if (turn.tasksWait() || turn.get("news") === 1) {
        if (turn.has("arm: told once")) to[at.news] = 0;
        turn.go(to, R.armRevoke);
      } else {
        turn.go(to, R.armClosed);
      }
    }),
  [R.armClosed]: (turn) =>
    turn.move("nffi_queue_arm: closed", (to) => {
      if (turn.load("closed")) {
        turn.go(to, R.armRevoke);
      } else if (turn.has("arm: clear first")) {
        turn.unlock(to);
        turn.go(to, R.armSleep);
      } else {
        turn.go(to, R.armClearLate);
      }
    }),
  [R.armClearLate]: (turn) =>
    turn.move("nffi_queue_arm: nffi__eventfd_clear", (to) => {
      to[at.tasksFd] = 0;
      turn.unlock(to);
      turn.go(to, R.armSleep);
    }),
  [R.armRevoke]: (turn) =>
    turn.move("nffi_queue_arm: nffi__revoke_parked", (to) => {
      turn.store(to, "runtimeParked", 0, false);
      turn.unlock(to);
      turn.go(to, R.cancelled);
    }),
  [R.armSleep]: (turn) => {
    if (turn.get("tasksFd") === 1) {
      turn.move("the loop of the runtime", (to) => turn.go(to, R.cancelled));
    }
  },
  [R.cancelled]: (turn) => turn.move("nffi_queue_cancelled", (to) => turn.go(to, R.lock)),
};

/** The kernel compares the word and puts the thread to sleep in one step. */
function sleepOnWord(turn: ThreadTurn): void {
  const sleeps = turn.get("runtimeParked") === announced(turn) || !turn.has("word: compare");
  turn.move("nffi__word_wait", (to) => turn.go(to, sleeps ? R.asleep : R.relock));
}

/** How a poller says that it sleeps. */
export function announced(turn: ThreadTurn): number {
  const word = !turn.world.setting.process && turn.has("lead: says how it sleeps");
  return word ? ON.word : ON.descriptor;
}

function afterNotes(turn: ThreadTurn): number {
  return turn.has("arm: look again") ? R.armLook : R.armClosed;
}

// nffi_queue_arm in leader-model.ts: a loop becomes the permanent leader.
import { at, get, LEADER, ON, T } from "./leader-state.js";
import type { Moves, ThreadTurn } from "./leader-turn.js";

export const ARM_MOVES: Moves = {
  [T.armLock]: (turn) => {
    if (turn.tasksWait && turn.isUnlocked && get(turn.s, "arms") === 1) {
      turn.add("nffi_queue_arm: found_tasks", (to) => turn.go(to, T.lock));
    }
    turn.lock("nffi_queue_arm: pthread_mutex_lock", T.armTake);
  },
  [T.armTake]: takeDescriptor,
  [T.armRetry]: (turn) => {
    // it returns immediately; more rounds change nothing
    if (get(turn.s, "leader") === LEADER.nobody) {
      turn.add("nffi_queue_arm: 1", (to) => turn.go(to, T.lock));
    }
  },
  [T.armClear]: (turn) =>
    turn.add("nffi__eventfd_clear", (to) => {
      to[at.tasksFd] = 0;
      turn.go(to, T.armAnnounce);
    }),
  [T.armAnnounce]: (turn) =>
    turn.add("nffi__announce_parked", (to) => {
      to[at.parked] = ON.descriptor;
      turn.go(to, T.armNotes);
    }),
  [T.armNotes]: (turn) =>
    turn.add("nffi__take_notes", (to) => {
      turn.takeNotes(to);
      turn.go(to, T.armLook);
    }),
  [T.armLook]: (turn) =>
    turn.add("nffi__ring_waiting", (to) =>
      turn.go(to, turn.tasksWait || get(turn.s, "news") ? T.armRevoke : T.armClosed),
    ),
  [T.armClosed]: (turn) =>
    turn.add("nffi_queue_arm: closed", (to) => {
      if (get(turn.s, "closed")) {
        turn.go(to, T.armRevoke);
      } else {
        turn.unlock(to);
        turn.go(to, T.armSleep);
      }
    }),
  [T.armRevoke]: (turn) =>
    turn.add("nffi__revoke_parked", (to) => {
      to[at.parked] = 0;
      turn.unlock(to);
      turn.go(to, T.lock);
    }),
  [T.armSleep]: (turn) => {
    if (get(turn.s, "tasksFd")) turn.add("the loop wakes up", (to) => turn.go(to, T.lock));
  },
};

function takeDescriptor(turn: ThreadTurn): void {
  turn.add("take_descriptor", (to) => {
    if (get(turn.s, "arms") === 0) {
      to[at.arms] = 1;
      turn.wake(to, [...turn.followers(), ...turn.writers()]);
      if (turn.context.has("arm: nudge the leader")) turn.nudgeLeader(to);
    }
    if (get(turn.s, "leader") === LEADER.nobody) {
      turn.go(to, T.armClear);
    } else {
      turn.unlock(to);
      turn.go(to, T.armRetry);
    }
  });
}

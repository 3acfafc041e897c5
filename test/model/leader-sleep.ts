// How a thread of leader-model.ts waits: it leads, with and without spinning, or follows.
import type { State } from "./explore.js";
import { at, get, LEADER, type LeaderStep, ON, T } from "./leader-state.js";
import type { Moves, ThreadTurn } from "./leader-turn.js";

export const SLEEP_MOVES: Moves = {
  [T.wait]: (turn) => {
    if (turn.isLoop) turn.add("nffi_queue_poll: nothing", (to) => turn.go(to, T.leaveTimed));
    else wait(turn);
  },
  [T.spin]: spin,
  [T.found]: (turn) => turn.lock("spin_unlocked: found", T.led),
  [T.gaveUp]: gaveUp,
  [T.announce]: (turn) =>
    turn.add("nffi__announce_parked", (to) => {
      to[at.parked] = turn.context.setting.process ? ON.descriptor : ON.word;
      turn.go(to, turn.context.has("lead: look at notes") ? T.lookNotes : T.lookTasks);
    }),
  [T.lookNotes]: (turn) =>
    turn.add("has_notes", (to) => turn.go(to, turn.notesWait ? T.revoke : T.lookTasks)),
  [T.lookTasks]: lookTasks,
  [T.lookClosed]: (turn) =>
    turn.add("has_tasks: closed", (to) => {
      if (looksForTasks(turn, "writer: looks for the end of a follower") && get(turn.s, "closed")) {
        turn.go(to, T.revoke);
      } else {
        turn.unlock(to);
        turn.go(to, T.sleep);
      }
    }),
  [T.sleep]: (turn) => {
    if (!turn.context.setting.process) {
      const sleeps = get(turn.s, "parked") === ON.word;
      turn.add("nffi__word_wait", (to) => turn.go(to, sleeps ? T.asleep : T.relock));
      return;
    }
    if (get(turn.s, "tasksFd")) turn.add("sleep_on_descriptor", (to) => turn.go(to, T.clear));
    mayTimeOut(turn);
  },
  [T.asleep]: mayTimeOut,
  [T.clear]: (turn) =>
    turn.add("nffi__eventfd_clear", (to) => {
      to[at.tasksFd] = 0;
      turn.go(to, T.relock);
    }),
  [T.relock]: (turn) => turn.lock("sleep_for_all: pthread_mutex_lock", T.revoke),
  [T.sleepTimedOut]: (turn) => {
    if (!turn.isUnlocked) return;
    turn.add("sleep_for_all: the time is over: pthread_mutex_lock", (to) => {
      turn.takeMutex(to);
      to[at.parked] = 0;
      to[at.leader] = LEADER.nobody;
      turn.go(to, T.leaveTimed);
    });
  },
  [T.revoke]: (turn) =>
    turn.add("nffi__revoke_parked", (to) => {
      to[at.parked] = 0;
      turn.go(to, T.led);
    }),
  [T.led]: led,
  [T.follow]: follow,
  [T.timedOut]: (turn) => {
    if (!turn.isUnlocked) return;
    turn.add("follow: pthread_cond_timedwait", (to) => {
      turn.takeMutex(to);
      if (turn.context.has("follow: woken while it timed out")) to[turn.me + 1] = 0;
      turn.go(to, T.leaveTimed);
    });
  },
};

function mayTimeOut(turn: ThreadTurn): void {
  if (!turn.mayTimeOut) return;
  turn.add("sleep_for_all: the time is over", (to) => turn.go(to, T.sleepTimedOut));
}

function wait(turn: ThreadTurn): void {
  const { s, isWriter } = turn;
  const { has, setting } = turn.context;
  const follows =
    get(s, "leader") !== LEADER.nobody ||
    (get(s, "arms") === 1 && has("arm: threads follow")) ||
    (isWriter && turn.isWoken({ writers: false }) && has("writer: follows a woken poller"));
  if (follows) {
    turn.add("follow", (to) => {
      turn.unlock(to);
      turn.go(to, T.follow);
    });
    return;
  }
  const lead = (to: State) => {
    to[at.leader] = isWriter ? LEADER.writer : LEADER.poller;
    to[turn.me + 2] = get(s, "notesHead");
    to[at.nudged] = 0;
  };
  turn.add("lead", (to) => {
    lead(to);
    turn.go(to, T.announce);
  });
  if (!setting.spins) return;
  turn.add("spin_unlocked: pthread_mutex_unlock", (to) => {
    lead(to);
    turn.unlock(to);
    turn.go(to, T.spin);
  });
}

function spin(turn: ThreadTurn): void {
  const forTasks = !turn.isWriter || turn.followers().length > 0;
  const hasTasks = turn.tasksWait || get(turn.s, "closed") !== 0;
  if (turn.notesWait || (forTasks && hasTasks)) {
    turn.add("spin: has_work", (to) => turn.go(to, T.found));
  }
  turn.add("nffi_spin_look_again", (to) => turn.go(to, T.gaveUp));
}

function gaveUp(turn: ThreadTurn): void {
  if (!turn.isUnlocked) return;
  turn.add("spin_unlocked: pthread_mutex_lock", (to) => {
    turn.takeMutex(to);
    const taken = get(turn.s, "notesHead") !== turn.s[turn.me + 2];
    const { has } = turn.context;
    const again = taken && has("spin: notes that another thread took");
    const nudged = get(turn.s, "nudged") === 1 && has("nudge: mark for one that spins");
    turn.go(to, again || nudged ? T.led : T.announce);
  });
}

/** A writer does so for the pollers that follow it. */
function looksForTasks(turn: ThreadTurn, step: LeaderStep): boolean {
  return !turn.isWriter || (turn.followers().length > 0 && turn.context.has(step));
}

function lookTasks(turn: ThreadTurn): void {
  const looks =
    looksForTasks(turn, "writer: looks for tasks of a follower") &&
    (turn.isWriter || turn.context.has("lead: look at tasks"));
  turn.add("has_tasks: nffi__ring_waiting", (to) =>
    turn.go(to, looks && turn.tasksWait ? T.revoke : T.lookClosed),
  );
}

/** The leader has the mutex and stops leading; a writer makes a poller lead. */
function led(turn: ThreadTurn): void {
  const stop = (to: State) => {
    to[at.leader] = LEADER.nobody;
    turn.go(to, T.notes);
  };
  const followers = turn.followers();
  const due =
    turn.isWriter && turn.context.has("writer: hand over") && !turn.isWoken({ writers: false });
  if (!due || followers.length === 0) {
    turn.add("lead: returns", stop);
    return;
  }
  for (const follower of followers) {
    turn.add("nffi__wait_for_credit: wake_at", (to) => {
      stop(to);
      turn.wake(to, [follower]);
    });
  }
}

function follow(turn: ThreadTurn): void {
  if (turn.s[turn.me + 1] === 1 && turn.isUnlocked) {
    turn.add("follow: pthread_cond_wait", (to) => {
      turn.takeMutex(to);
      to[turn.me + 1] = 0;
      turn.go(to, T.notes);
    });
  }
  if (turn.mayTimeOut) turn.add("follow: the time is over", (to) => turn.go(to, T.timedOut));
}

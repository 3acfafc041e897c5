// A thread of the runtime in wake-model.ts: nffi_queue_poll and the handler. wake-wait.ts has what
// it does without a task, wake-unlock.ts how it wakes the host.
import type { Move, State } from "./explore.js";
import { at, NONE, R, W } from "./wake-state.js";
import { ThreadTurn, threadAt, type World } from "./wake-turn.js";
import { unlockAndWake } from "./wake-unlock.js";
import { ARM_MOVES, announced, LEAD_MOVES } from "./wake-wait.js";

export function runtimeMoves(s: State, world: World, index: number, found: Move[]): void {
  const turn = new ThreadTurn(s, world, index, found);
  // nffi__unlock_and_wake has three callers, which go on in different places
  if (unlockAndWake(turn, W.answered, turn.holdsTask ? R.handler : R.lock)) return;
  if (unlockAndWake(turn, W.waiting, world.armed ? R.armLock : R.lockAgain)) return;
  if (unlockAndWake(turn, W.ended, R.over)) return;
  MOVES[s[turn.me] as number]?.(turn);
}

const POLL_MOVES: Readonly<Record<number, (turn: ThreadTurn) => void>> = {
  [R.lock]: (turn) => turn.lock("nffi_queue_poll: pthread_mutex_lock", R.notes),
  [R.lockAgain]: (turn) => turn.lock("nffi_queue_poll: pthread_mutex_lock", R.notes),
  [R.notes]: (turn) =>
    turn.move("nffi__take_notes", (to) => {
      turn.takeNotes(to);
      turn.go(to, R.take);
    }),
  [R.take]: take,
  [R.end]: (turn) =>
    turn.move("at_end: closed", (to) => turn.go(to, turn.load("closed") ? R.endLook : R.wait)),
  [R.endLook]: (turn) =>
    turn.move("at_end: nffi__ring_waiting", (to) =>
      turn.go(to, turn.tasksWait() ? R.take : R.leave),
    ),
  [R.wait]: wait,
  [R.leave]: leave,
};

const HANDLER_MOVES: Readonly<Record<number, (turn: ThreadTurn) => void>> = {
  [R.handler]: (turn) => {
    turn.move("handler", (to) => turn.go(to, R.respond));
    if (!turn.world.setting.stuck || turn.get("stuck") !== 0) return;
    turn.move("handler never returns", (to) => {
      to[at.stuck] = turn.index + 1;
      turn.go(to, R.stuck);
    });
  },
  [R.respond]: (turn) => turn.lock("nffi_respond: pthread_mutex_lock", R.finish),
  [R.finish]: (turn) =>
    turn.move("nffi__finish: nffi__ring_publish", (to) => {
      turn.finish(to);
      turn.hold(to, NONE);
      turn.go(to, W.answered.look);
    }),
};

const MOVES = { ...POLL_MOVES, ...LEAD_MOVES, ...ARM_MOVES, ...HANDLER_MOVES };

function take(turn: ThreadTurn): void {
  turn.move("take", (to) => {
    if (!turn.tasksWait()) {
      turn.go(to, R.end);
      return;
    }
    const task = turn.get("tasksHead");
    to[at.tasksHead] = task + 1;
    if ((turn.get("cancelled") >> task) & 1) {
      turn.finish(to); // NFFI__SKIPPED, and looks for the next
    } else {
      turn.hold(to, task);
      turn.go(to, R.leave);
    }
  });
}

/** No task: wakes the host if that is due, then leads, follows, or returns to its loop. */
function wait(turn: ThreadTurn): void {
  if (turn.get("wakeDue") === 1 && turn.has("poll: wake before waiting")) {
    turn.move("nffi_queue_poll: wake_due", (to) => turn.go(to, W.waiting.look));
  } else if (turn.world.armed) {
    turn.move("nffi_queue_poll: nothing", (to) => turn.go(to, W.waiting.look));
  } else if (turn.get("led") === 0) {
    turn.move("lead: nffi__announce_parked", (to) => {
      to[at.led] = 1;
      turn.store(to, "runtimeParked", announced(turn), turn.has("lead: seq_cst"));
      turn.go(to, turn.has("lead: look at notes") ? R.lookNotes : R.look);
    });
  } else {
    turn.move("follow: pthread_cond_wait", (to) => {
      turn.unlock(to);
      turn.go(to, R.follow);
    });
  }
}

/** The end of nffi_queue_poll: a task was taken, or the end was seen. */
function leave(turn: ThreadTurn): void {
  const then = turn.holdsTask ? W.answered.look : W.ended.look;
  const places = Array.from({ length: turn.world.threads }, (_, index) => turn.s[threadAt(index)]);
  const followers = places.flatMap((place, index) => (place === R.follow ? [index] : []));
  const due =
    turn.get("led") === 0 && !places.includes(R.followed) && turn.has("leave: next leader");
  if (!due || followers.length === 0) {
    turn.move("nffi__pass_lead: nobody", (to) => turn.go(to, then));
    return;
  }
  for (const follower of followers) {
    turn.move("nffi__pass_lead: wake_at", (to) => {
      to[threadAt(follower)] = R.followed;
      turn.go(to, then);
    });
  }
}

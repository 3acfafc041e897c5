// The threads of leader-model.ts: nffi_queue_poll and nffi_stream_wait, from the mutex to the
// return. leader-sleep.ts has how they wait, leader-arm.ts has nffi_queue_arm.
import type { State } from "./explore.js";
import { ARM_MOVES } from "./leader-arm.js";
import { SLEEP_MOVES } from "./leader-sleep.js";
import { type Add, at, type Context, get, LEADER, T } from "./leader-state.js";
import { type Moves, ThreadTurn } from "./leader-turn.js";

export function threadMoves(s: State, index: number, context: Context, add: Add): void {
  const turn = new ThreadTurn(s, index, context, add);
  endStream(turn);
  const place = s[turn.me] as number;
  const moves = MOVES[place] ?? (turn.isLoop ? ARM_MOVES[place] : undefined);
  moves?.(turn);
}

const MOVES: Moves = {
  ...SLEEP_MOVES,
  [T.lock]: (turn) => turn.lock("pthread_mutex_lock", T.notes),
  [T.notes]: (turn) =>
    turn.add("nffi__take_notes", (to) => {
      turn.takeNotes(to);
      turn.go(to, T.take);
    }),
  [T.take]: (turn) => (turn.isWriter ? mayWrite(turn) : take(turn)),
  [T.closed]: closed,
  [T.endLook]: (turn) =>
    turn.add("at_end: nffi__ring_waiting", (to) =>
      turn.go(to, turn.tasksWait ? T.take : T.leaveOver),
    ),
  [T.wakeHost]: (turn) =>
    turn.add("nffi__unlock_and_wake", (to) => {
      to[at.wakeDue] = 0;
      turn.unlock(to);
      turn.go(to, T.relockHost);
    }),
  [T.relockHost]: (turn) =>
    turn.lock(
      "nffi_queue_poll: pthread_mutex_lock",
      turn.context.has("poll: look again after waking the host") ? T.notes : T.wait,
    ),
  [T.leaveTimed]: leaveTimed,
  [T.leave]: (turn) => passLead(turn, turn.isWriter ? T.over : T.handler),
  [T.leaveOver]: (turn) =>
    passLead(turn, turn.isLoop && !get(turn.s, "closed") ? T.armLock : T.over),
  [T.handler]: handler,
};

/** Another thread ends the stream of the first writer. */
function endStream(turn: ThreadTurn): void {
  const { s, index, stream } = turn;
  const { has, setting } = turn.context;
  if (!turn.isWriter || index !== setting.pollers) return;
  if (get(s, "endLeft") !== 1 || !turn.isUnlocked) return;
  turn.add("another thread: nffi__finish", (to) => {
    to[at.endLeft] = 0;
    to[at.ended] = get(s, "ended") | (1 << stream);
    if (has("finish: wake the threads of the stream")) {
      turn.wake(
        to,
        turn.writers().filter((other) => other === index),
      );
    }
    const isLed = get(s, "leader") === LEADER.writer;
    if (isLed && has("finish: nudge the leader")) turn.nudgeLeader(to);
  });
}

function mayWrite(turn: ThreadTurn): void {
  const may = ((get(turn.s, "credit") | get(turn.s, "ended")) >> turn.stream) & 1;
  turn.add("nffi_stream_wait: may_write", (to) => turn.go(to, may ? T.leave : T.wait));
}

function take(turn: ThreadTurn): void {
  const { s } = turn;
  turn.add("take", (to) => {
    if (!turn.tasksWait) {
      turn.go(to, T.closed);
      return;
    }
    to[at.tasksHead] = get(s, "tasksHead") + 1;
    if (turn.context.setting.skips && get(s, "tasksHead") === 0) to[at.wakeDue] = 1;
    else turn.go(to, T.leave);
  });
}

function closed(turn: ThreadTurn): void {
  const { s } = turn;
  turn.add("at_end: closed", (to) => {
    if (get(s, "closed")) {
      turn.go(to, T.endLook);
    } else if (get(s, "news")) {
      to[at.news] = 0;
      turn.go(to, T.leave);
    } else {
      turn.go(to, get(s, "wakeDue") ? T.wakeHost : T.wait);
    }
  });
}

/** It timed out, and checks once more before it leaves. */
function leaveTimed(turn: ThreadTurn): void {
  turn.add("nffi__take_notes, take", (to) => {
    turn.takeNotes(to);
    if (!turn.isWriter && turn.tasksWait) {
      to[at.tasksHead] = get(turn.s, "tasksHead") + 1;
      turn.go(to, T.leave);
    } else {
      turn.go(to, T.leaveOver);
    }
  });
}

function handler(turn: ThreadTurn): void {
  turn.add("handler", (to) => turn.go(to, T.lock));
  if (!turn.context.setting.stuck || get(turn.s, "stuck") !== 0) return;
  turn.add("handler never returns", (to) => {
    to[at.stuck] = 1;
    turn.go(to, T.stuck);
  });
}

function passLead(turn: ThreadTurn, then: number): void {
  const done = (to: State) => {
    turn.unlock(to);
    turn.go(to, then);
  };
  const chosen = nextLeaders(turn);
  if (chosen.length === 0) turn.add("nffi__pass_lead: none", done);
  for (const one of chosen) {
    turn.add("nffi__pass_lead: wake_at", (to) => {
      done(to);
      turn.wake(to, [one]);
    });
  }
}

/** The threads of which one leads next: pollers, or writers if no poller follows. */
function nextLeaders(turn: ThreadTurn): number[] {
  const { s } = turn;
  const { has } = turn.context;
  const step = turn.isWriter ? "leave: writers pass the lead" : "leave: pollers pass the lead";
  const due = get(s, "leader") === LEADER.nobody && !turn.isWoken({ writers: false }) && has(step);
  if (!due) return [];
  const followers = turn.followers();
  if (followers.length > 0) {
    const wanted = get(s, "arms") === 0 || turn.tasksWait || get(s, "closed") === 1;
    return has("pass: pollers") && wanted ? followers : [];
  }
  const passes = !turn.isWoken({ writers: true }) && get(s, "arms") === 0 && has("pass: writers");
  return passes ? turn.writers() : [];
}

// The threads of leader-model.ts: nffi_queue_poll, nffi_stream_wait and nffi_queue_arm.
import type { State } from "./explore.js";
import { type Add, at, type Context, get, LEADER, NEWS, T, threadAt } from "./leader-state.js";

/** Threads on a list of waiters: followers that were not woken. */
function waiting(s: State, { threads, isWriter }: Context, writers: boolean): number[] {
  const found: number[] = [];
  for (let i = 0; i < threads; i++) {
    const place = s[threadAt(i)];
    const follows = place === T.follow || place === T.timedOut;
    if (follows && s[threadAt(i) + 1] === 0 && isWriter(i) === writers) found.push(i);
  }
  return found;
}

/** Waiters that were woken and do not run yet. */
function isWoken(s: State, { threads, isWriter }: Context, writers: boolean): boolean {
  for (let i = 0; i < threads; i++) {
    if (s[threadAt(i) + 1] === 1 && isWriter(i) === writers) return true;
  }
  return false;
}

function wake(to: State, indexes: readonly number[]): void {
  for (const index of indexes) to[threadAt(index) + 1] = 1;
}

function nudge(to: State): void {
  if (get(to, "leader") === LEADER.nobody) return;
  to[at.tasksFd] = 1;
}

/** nffi__take_notes: takes all notes that have arrived. */
function takeNotes(s: State, to: State, context: Context): void {
  const { setting, has } = context;
  let notes = get(s, "notes");
  for (let n = get(s, "notesTail") - get(s, "notesHead"); n > 0; n--, notes >>= 3) {
    const stream = notes & 7;
    if (stream === NEWS) {
      to[at.news] = 1;
    } else if (has("note: wake the threads of the stream")) {
      const thread = setting.pollers + stream;
      wake(
        to,
        waiting(s, context, true).filter((index) => index === thread),
      );
    }
  }
  to[at.notes] = 0;
  to[at.notesHead] = get(s, "notesTail");
}

export function threadMoves(s: State, index: number, context: Context, add: Add): void {
  const me = threadAt(index);
  const { has, setting } = context;
  const writer = context.isWriter(index);
  const stream = index - setting.pollers;
  const go = (to: State, place: number) => {
    to[me] = place;
  };
  const lock = (name: string, place: number) => {
    if (get(s, "mutex") !== 0) return;
    add(name, (to) => {
      to[at.mutex] = index + 1;
      go(to, place);
    });
  };
  const unlock = (to: State) => {
    to[at.mutex] = 0;
  };
  const tasks = get(s, "tasksTail") > get(s, "tasksHead");
  const notes = get(s, "notesTail") > get(s, "notesHead");
  const followers = waiting(s, context, false);
  const loop = context.isLoop(index);
  const mayTimeOut = index === (setting.timed ?? 0) - 1;

  if (writer && index === setting.pollers && get(s, "endLeft") === 1 && get(s, "mutex") === 0) {
    add("another thread: nffi__finish", (to) => {
      to[at.endLeft] = 0;
      to[at.ended] = get(s, "ended") | (1 << stream);
      if (has("finish: wake the threads of the stream")) {
        wake(
          to,
          waiting(s, context, true).filter((other) => other === index),
        );
      }
      if (get(s, "leader") === LEADER.writer && has("finish: nudge the leader")) nudge(to);
    });
  }

  switch (s[me]) {
    case T.lock:
      lock("pthread_mutex_lock", T.notes);
      break;
    case T.notes:
      add("nffi__take_notes", (to) => {
        takeNotes(s, to, context);
        go(to, T.take);
      });
      break;
    case T.take:
      if (writer) {
        const may = ((get(s, "credit") | get(s, "ended")) >> stream) & 1;
        add("nffi_stream_wait: may_write", (to) => go(to, may ? T.leave : T.wait));
        break;
      }
      add("take", (to) => {
        if (!tasks) {
          go(to, T.closed);
          return;
        }
        to[at.tasksHead] = get(s, "tasksHead") + 1;
        if (setting.skips && get(s, "tasksHead") === 0) to[at.wakeDue] = 1;
        else go(to, T.leave);
      });
      break;
    case T.closed:
      add("at_end: closed", (to) => {
        if (get(s, "closed")) go(to, T.endLook);
        else if (get(s, "news")) {
          to[at.news] = 0;
          go(to, T.leave);
        } else go(to, get(s, "wakeDue") ? T.wakeHost : T.wait);
      });
      break;
    case T.endLook:
      add("at_end: nffi__ring_waiting", (to) => go(to, tasks ? T.take : T.leaveOver));
      break;
    case T.wakeHost:
      add("nffi__unlock_and_wake", (to) => {
        to[at.wakeDue] = 0;
        unlock(to);
        go(to, T.relockHost);
      });
      break;
    case T.relockHost:
      lock(
        "nffi_queue_poll: pthread_mutex_lock",
        has("poll: look again after waking the host") ? T.notes : T.wait,
      );
      break;
    case T.wait:
      if (loop) add("nffi_queue_poll: nothing", (to) => go(to, T.leaveTimed));
      else wait();
      break;
    case T.spin:
      if (notes || ((!writer || followers.length > 0) && (tasks || get(s, "closed")))) {
        add("spin: has_work", (to) => go(to, T.found));
      }
      add("nffi_spin_look_again", (to) => go(to, T.gaveUp));
      break;
    case T.found:
      lock("spin_unlocked: found", T.led);
      break;
    case T.gaveUp:
      if (get(s, "mutex") !== 0) break;
      add("spin_unlocked: pthread_mutex_lock", (to) => {
        to[at.mutex] = index + 1;
        const taken = get(s, "notesHead") !== s[me + 2];
        const again = taken && has("spin: notes that another thread took");
        go(to, again ? T.led : T.announce);
      });
      break;
    case T.announce:
      add("nffi__announce_parked", (to) => {
        to[at.parked] = 1;
        go(to, has("lead: look at notes") ? T.lookNotes : T.lookTasks);
      });
      break;
    case T.lookNotes:
      add("has_notes", (to) => go(to, notes ? T.revoke : T.lookTasks));
      break;
    case T.lookTasks: {
      const looks = writer
        ? followers.length > 0 && has("writer: looks for tasks of a follower")
        : has("lead: look at tasks");
      add("has_tasks: nffi__ring_waiting", (to) =>
        go(to, looks && tasks ? T.revoke : T.lookClosed),
      );
      break;
    }
    case T.lookClosed:
      add("has_tasks: closed", (to) => {
        if (!writer && get(s, "closed")) {
          go(to, T.revoke);
        } else {
          unlock(to);
          go(to, T.sleep);
        }
      });
      break;
    case T.sleep:
      if (get(s, "tasksFd")) add("sleep_for_all: poll", (to) => go(to, T.clear));
      if (mayTimeOut) add("sleep_for_all: the time is over", (to) => go(to, T.sleepTimedOut));
      break;
    case T.clear:
      add("nffi__eventfd_clear", (to) => {
        to[at.tasksFd] = 0;
        go(to, T.relock);
      });
      break;
    case T.relock:
      lock("sleep_for_all: pthread_mutex_lock", T.revoke);
      break;
    case T.sleepTimedOut:
      if (get(s, "mutex") !== 0) break;
      add("sleep_for_all: the time is over: pthread_mutex_lock", (to) => {
        to[at.mutex] = index + 1;
        to[at.parked] = 0;
        to[at.leader] = LEADER.nobody;
        go(to, T.leaveTimed);
      });
      break;
    case T.revoke:
      add("nffi__revoke_parked", (to) => {
        to[at.parked] = 0;
        go(to, T.led);
      });
      break;
    case T.led:
      led();
      break;
    case T.follow:
      if (s[me + 1] === 1) {
        if (get(s, "mutex") === 0) {
          add("follow: pthread_cond_wait", (to) => {
            to[at.mutex] = index + 1;
            to[me + 1] = 0;
            go(to, T.notes);
          });
        }
      }
      if (mayTimeOut) add("follow: the time is over", (to) => go(to, T.timedOut));
      break;
    case T.timedOut:
      if (get(s, "mutex") !== 0) break;
      add("follow: pthread_cond_timedwait", (to) => {
        to[at.mutex] = index + 1;
        if (has("follow: woken while it timed out")) to[me + 1] = 0;
        go(to, T.leaveTimed);
      });
      break;
    case T.leaveTimed:
      // it looks once more before it leaves
      add("nffi__take_notes, take", (to) => {
        takeNotes(s, to, context);
        if (!writer && tasks) {
          to[at.tasksHead] = get(s, "tasksHead") + 1;
          go(to, T.leave);
        } else {
          go(to, T.leaveOver);
        }
      });
      break;
    case T.leave:
      passLead(writer ? T.over : T.handler);
      break;
    case T.leaveOver:
      passLead(loop && !get(s, "closed") ? T.armLock : T.over);
      break;
    case T.handler:
      add("handler", (to) => go(to, T.lock));
      if (setting.stuck && get(s, "stuck") === 0) {
        add("handler never returns", (to) => {
          to[at.stuck] = 1;
          go(to, T.stuck);
        });
      }
      break;
    default:
      if (loop) arm();
  }

  function wait(): void {
    const follows =
      get(s, "leader") !== LEADER.nobody ||
      (get(s, "arms") === 1 && has("arm: threads follow")) ||
      (writer && isWoken(s, context, false) && has("writer: follows a woken poller"));
    if (follows) {
      add("follow", (to) => {
        unlock(to);
        go(to, T.follow);
      });
      return;
    }
    const lead = (to: State) => {
      to[at.leader] = writer ? LEADER.writer : LEADER.poller;
      to[me + 2] = get(s, "notesHead");
    };
    add("lead", (to) => {
      lead(to);
      go(to, T.announce);
    });
    if (!setting.spins) return;
    add("spin_unlocked: pthread_mutex_unlock", (to) => {
      lead(to);
      unlock(to);
      go(to, T.spin);
    });
  }

  /** The leader has the mutex and leads no more; a writer makes a poller lead. */
  function led(): void {
    const stop = (to: State) => {
      to[at.leader] = LEADER.nobody;
      go(to, T.notes);
    };
    const due = writer && has("writer: hand over") && !isWoken(s, context, false);
    if (!due || followers.length === 0) {
      add("lead: returns", stop);
      return;
    }
    for (const follower of followers) {
      add("nffi__wait_for_credit: wake_at", (to) => {
        stop(to);
        wake(to, [follower]);
      });
    }
  }

  function passLead(then: number): void {
    const writers = waiting(s, context, true);
    const done = (to: State) => {
      unlock(to);
      go(to, then);
    };
    let chosen: number[] = [];
    if (
      get(s, "leader") === LEADER.nobody &&
      !isWoken(s, context, false) &&
      has(writer ? "leave: writers pass the lead" : "leave: pollers pass the lead")
    ) {
      if (followers.length > 0) {
        const wanted = get(s, "arms") === 0 || tasks || get(s, "closed") === 1;
        if (has("pass: pollers") && wanted) chosen = followers;
      } else if (!isWoken(s, context, true) && get(s, "arms") === 0 && has("pass: writers")) {
        chosen = writers;
      }
    }
    if (chosen.length === 0) add("nffi__pass_lead: none", done);
    for (const one of chosen) {
      add("nffi__pass_lead: wake_at", (to) => {
        done(to);
        wake(to, [one]);
      });
    }
  }

  function arm(): void {
    switch (s[me]) {
      case T.armLock:
        lock("nffi_queue_arm: pthread_mutex_lock", T.armTake);
        break;
      case T.armTake:
        add("take_descriptor", (to) => {
          if (get(s, "arms") === 0) {
            to[at.arms] = 1;
            wake(to, [...followers, ...waiting(s, context, true)]);
            if (has("arm: nudge the leader")) nudge(to);
          }
          if (get(s, "leader") === LEADER.nobody) {
            go(to, T.armClear);
          } else {
            unlock(to);
            go(to, T.armRetry);
          }
        });
        break;
      case T.armRetry:
        // it returns immediately; more rounds change nothing
        if (get(s, "leader") === LEADER.nobody) add("nffi_queue_arm: 1", (to) => go(to, T.lock));
        break;
      case T.armClear:
        add("nffi__eventfd_clear", (to) => {
          to[at.tasksFd] = 0;
          go(to, T.armAnnounce);
        });
        break;
      case T.armAnnounce:
        add("nffi__announce_parked", (to) => {
          to[at.parked] = 1;
          go(to, T.armNotes);
        });
        break;
      case T.armNotes:
        add("nffi__take_notes", (to) => {
          takeNotes(s, to, context);
          go(to, T.armLook);
        });
        break;
      case T.armLook:
        add("nffi__ring_waiting", (to) =>
          go(to, tasks || get(s, "news") ? T.armRevoke : T.armClosed),
        );
        break;
      case T.armClosed:
        add("nffi_queue_arm: closed", (to) => {
          if (get(s, "closed")) {
            go(to, T.armRevoke);
          } else {
            unlock(to);
            go(to, T.armSleep);
          }
        });
        break;
      case T.armRevoke:
        add("nffi__revoke_parked", (to) => {
          to[at.parked] = 0;
          unlock(to);
          go(to, T.lock);
        });
        break;
      case T.armSleep:
        if (get(s, "tasksFd")) add("the loop wakes up", (to) => go(to, T.lock));
        break;
    }
  }
}

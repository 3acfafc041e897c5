// The wake-up and close protocol of c-src/lib and of the glue's collect handler, as a model: docs/
// decisions/0002. One host (the event loop), one or two pollers or one armed loop as the runtime.
// A move is one access to memory that the other side sees, one system call, or the taking of the
// mutex; it bears the name of the function that does it. Stores that are not sequentially
// consistent wait in a store buffer, as x86 has it, and land later.
//
// `without` leaves out one protective step, to see that the walk finds what it protects from.
import type { Model, Move, State } from "./explore.js";
import {
  at,
  BUFFER,
  H,
  NONE,
  R,
  type Setting,
  type Step,
  THREAD,
  W,
  type WakePlaces,
  WORDS,
  type Word,
} from "./wake-state.js";

export function wakeModel(setting: Setting): Model {
  const armed = setting.pollers === 0;
  const threads = armed ? 1 : setting.pollers;
  const base = WORDS.length + BUFFER;
  const has = (step: Step) => setting.without !== step;

  const start = new Uint8Array(base + threads * THREAD);
  start[at.hostParked] = 1; // the glue parks a new queue immediately
  start[at.cancels] = setting.cancels ?? 0;
  start[at.closing] = setting.close ? 1 : 0;
  for (let i = 0; i < threads; i++) start[base + i * THREAD + 1] = NONE;

  const get = (s: State, word: Word) => s[at[word]] as number;

  function moves(s: State): Move[] {
    const found: Move[] = [];
    hostMoves(s, found);
    for (let i = 0; i < threads; i++) runtimeMoves(s, i, found);
    return found;
  }

  // --- memory: `who` is the place of a thread's delayed store

  function load(s: State, who: number, word: Word): number {
    return s[who] === at[word] + 1 ? (s[who + 1] as number) : get(s, word);
  }

  function land(s: State, who: number): void {
    if (s[who] === 0) return;
    s[(s[who] as number) - 1] = s[who + 1] as number;
    s[who] = 0;
    s[who + 1] = 0;
  }

  /** Sequentially consistent: everything before it has landed. */
  function store(s: State, who: number, word: Word, value: number, strong = true): void {
    land(s, who);
    if (strong) {
      s[at[word]] = value;
    } else {
      s[who] = at[word] + 1;
      s[who + 1] = value;
    }
  }

  function copyOf(s: State): State {
    return s.slice();
  }

  // --- the event loop: submit.c, host.c, collect.c and the glue

  function hostMoves(s: State, found: Move[]): void {
    const who = WORDS.length;
    const move = (name: string, change: (to: State) => void) => {
      const to = copyOf(s);
      change(to);
      found.push({ name: `host: ${name}`, to });
    };
    const go = (to: State, place: number) => {
      to[at.host] = place;
    };
    /** The next state after it collects: without its step, the handler clears the mark now. */
    const collected = (of: State) => (get(of, "clearDue") === 1 ? H.clear : H.idle);
    if (s[who] !== 0) move("a delayed store lands", (to) => land(to, who));

    switch (get(s, "host")) {
      case H.idle:
        if (load(s, who, "tasksTail") < setting.tasks && get(s, "closed") === 0) {
          move("nffi_host_submit: nffi__ring_publish", (to) => {
            store(to, who, "tasksTail", load(s, who, "tasksTail") + 1, has("submit: seq_cst"));
            go(to, H.look);
          });
        }
        if (get(s, "cancels") > 0) {
          for (let task = get(s, "doneTail"); task < load(s, who, "tasksTail"); task++) {
            if ((get(s, "cancelled") >> task) & 1) continue;
            move("nffi_host_cancel: nffi__ring_publish", (to) => {
              to[at.cancels] = get(s, "cancels") - 1;
              to[at.cancelled] = get(s, "cancelled") | (1 << task);
              store(to, who, "notesTail", get(s, "notesTail") + 1);
              go(to, H.look);
            });
          }
        }
        if (get(s, "closing") === 1) {
          move("nffi_host_close", (to) => {
            to[at.closing] = 0;
            store(to, who, "closed", 1);
            go(to, has("close: wake") ? H.write : H.idle);
          });
        }
        if (get(s, "notified") === 1) {
          // ngx_thread_pool_handler takes the whole list, then calls the handlers
          move(setting.process ? "ngx_epoll_process_events" : "ngx_thread_pool_handler", (to) => {
            land(to, who);
            to[at.notified] = 0;
            if (setting.process) {
              go(to, H.collect);
              return;
            }
            const linked = get(s, "linked");
            to[at.linked] = 0;
            if (linked === 0) return;
            to[at.clearDue] = has("woken: clear first") ? 0 : 1;
            go(to, has("woken: clear first") ? H.clear : H.collect);
          });
        }
        if (get(s, "collectPosted") === 1) {
          move("ngx_http_lua_nffi_collect_handler", (to) => {
            to[at.collectPosted] = 0;
            go(to, H.collect);
          });
        }
        break;
      case H.clear:
        move("ngx_http_lua_nffi_wake_handler", (to) => {
          land(to, who);
          to[at.woken] = 0;
          to[at.clearDue] = 0;
          go(to, has("woken: clear first") ? H.collect : H.idle);
        });
        break;
      case H.look:
        move("nffi__must_wake: load", (to) =>
          go(to, load(s, who, "runtimeParked") ? H.take : H.idle),
        );
        break;
      case H.take:
        move("nffi__must_wake: exchange", (to) => {
          land(to, who);
          go(to, get(to, "runtimeParked") ? H.write : H.idle);
          to[at.runtimeParked] = 0;
        });
        break;
      case H.write:
        move("nffi__host_wake_runtime", (to) => {
          land(to, who);
          to[at.tasksFd] = 1;
          go(to, H.idle);
        });
        break;
      case H.collect:
        // a turn takes one response, so that it often does not suffice
        move("nffi_host_collect", (to) => {
          if (load(s, who, "doneTail") > get(s, "doneHead")) {
            to[at.doneHead] = get(s, "doneHead") + 1;
            to[at.collectPosted] = has("collect: go on") ? 1 : 0;
            go(to, collected(s));
          } else {
            go(to, has("park: announce first") ? H.park : H.again);
          }
        });
        break;
      case H.park:
        move("nffi_host_park: nffi__announce_parked", (to) => {
          store(to, who, "hostParked", 1, has("park: seq_cst"));
          go(to, has("park: look again") ? H.again : collected(s));
        });
        break;
      case H.again:
        move("nffi_host_park: nffi__ring_waiting", (to) => {
          const waits = load(s, who, "doneTail") > get(s, "doneHead");
          if (!has("park: announce first")) {
            go(to, waits ? H.collect : H.announceLate);
          } else {
            go(to, waits ? H.revoke : collected(s));
          }
        });
        break;
      case H.announceLate:
        move("nffi_host_park: nffi__announce_parked", (to) => {
          store(to, who, "hostParked", 1);
          go(to, collected(s));
        });
        break;
      case H.revoke:
        move("nffi_host_park: nffi__revoke_parked", (to) => {
          store(to, who, "hostParked", 0, false);
          to[at.collectPosted] = 1;
          go(to, collected(s));
        });
        break;
    }
  }

  // --- a thread of the runtime: queue.c, respond.c

  function runtimeMoves(s: State, index: number, found: Move[]): void {
    const me = base + index * THREAD;
    const who = me + 2;
    const own = index + 1;
    const move = (name: string, change: (to: State) => void) => {
      const to = copyOf(s);
      change(to);
      found.push({ name: armed ? `loop: ${name}` : `poller: ${name}`, to });
    };
    const go = (to: State, place: number) => {
      to[me] = place;
    };
    const lock = (name: string, place: number) => {
      if (get(s, "mutex") !== 0) return;
      move(name, (to) => {
        land(to, who);
        to[at.mutex] = own;
        go(to, place);
      });
    };
    const unlock = (to: State) => {
      land(to, who);
      to[at.mutex] = 0;
    };
    const tasksWait = () => load(s, who, "tasksTail") > get(s, "tasksHead");
    const takeNotes = (to: State) => {
      if (load(s, who, "notesTail") > get(s, "notesHead")) {
        to[at.notesHead] = load(s, who, "notesTail");
        to[at.news] = 1;
      }
    };
    const finish = (to: State) => {
      store(to, who, "doneTail", load(s, who, "doneTail") + 1, has("finish: seq_cst"));
      to[at.wakeDue] = 1;
    };
    // nffi__unlock_and_wake, in two places of the code
    const wake = (places: WakePlaces, then: number) => {
      switch (s[me]) {
        case places.look:
          move("nffi__unlock_and_wake: nffi__must_wake: load", (to) => {
            const parked = get(s, "wakeDue") === 1 && load(s, who, "hostParked") === 1;
            to[at.wakeDue] = 0;
            go(to, parked ? places.take : places.unlock);
          });
          return true;
        case places.unlock:
          // a locked instruction: what was delayed has landed afterwards
          move("nffi__unlock_and_wake: pthread_mutex_unlock", (to) => {
            unlock(to);
            go(to, then);
          });
          return true;
        case places.take:
          move("nffi__unlock_and_wake: nffi__must_wake: exchange", (to) => {
            land(to, who);
            go(to, get(to, "hostParked") ? places.signal : then);
            to[at.hostParked] = 0;
            unlock(to);
          });
          return true;
        case places.signal:
          if (setting.process) {
            move("signal_host: write", (to) => {
              to[at.notified] = 1;
              go(to, then);
            });
          } else {
            move("ngx_http_lua_nffi_wake_post", (to) => {
              go(to, has("wake: once") && get(s, "woken") === 1 ? then : places.post);
              to[at.woken] = 1;
            });
          }
          return true;
        case places.post:
          move("ngx_thread_pool_post_done", (to) => {
            to[at.linked] = get(s, "linked") + 1;
            go(to, places.notify);
          });
          return true;
        case places.notify:
          move("ngx_notify", (to) => {
            to[at.notified] = 1;
            go(to, then);
          });
          return true;
      }
      return false;
    };
    if (s[who] !== 0) move("a delayed store lands", (to) => land(to, who));

    const holds = s[me + 1] !== NONE;
    if (wake(W.answered, holds ? R.handler : R.lock)) return;
    if (wake(W.waiting, armed ? R.armLock : R.lockAgain)) return;
    if (wake(W.ended, R.over)) return;

    switch (s[me]) {
      case R.lock:
        lock("nffi_queue_poll: pthread_mutex_lock", R.notes);
        break;
      case R.notes:
        move("nffi__take_notes", (to) => {
          takeNotes(to);
          go(to, R.take);
        });
        break;
      case R.take:
        move("take", (to) => {
          if (!tasksWait()) {
            go(to, R.end);
            return;
          }
          const task = get(s, "tasksHead");
          to[at.tasksHead] = task + 1;
          if ((get(s, "cancelled") >> task) & 1) {
            finish(to); // NFFI__SKIPPED, and looks for the next
          } else {
            to[me + 1] = task;
            go(to, R.leave);
          }
        });
        break;
      case R.end:
        move("at_end: closed", (to) => go(to, load(s, who, "closed") ? R.endLook : R.wait));
        break;
      case R.endLook:
        move("at_end: nffi__ring_waiting", (to) => {
          if (tasksWait()) go(to, R.take);
          else go(to, R.leave);
        });
        break;
      case R.wait:
        if (get(s, "wakeDue") === 1 && has("poll: wake before waiting")) {
          move("nffi_queue_poll: wake_due", (to) => go(to, W.waiting.look));
        } else if (armed) {
          move("nffi_queue_poll: nothing", (to) => go(to, W.waiting.look));
        } else if (get(s, "led") === 0) {
          move("lead: nffi__announce_parked", (to) => {
            to[at.led] = 1;
            store(to, who, "runtimeParked", 1, has("lead: seq_cst"));
            go(to, has("lead: look at notes") ? R.lookNotes : R.look);
          });
        } else {
          move("follow: pthread_cond_wait", (to) => {
            unlock(to);
            go(to, R.follow);
          });
        }
        break;
      case R.lookNotes:
        move("lead: has_notes", (to) => {
          const wait = load(s, who, "notesTail") > get(s, "notesHead");
          go(to, wait ? R.revoke : has("lead: look again") ? R.look : R.lookClosed);
        });
        break;
      case R.look:
        move("lead: has_tasks: nffi__ring_waiting", (to) =>
          go(to, tasksWait() ? R.revoke : R.lookClosed),
        );
        break;
      case R.lookClosed:
        move("lead: has_tasks: closed", (to) => {
          if (load(s, who, "closed")) {
            go(to, R.revoke);
          } else {
            unlock(to);
            go(to, R.sleep);
          }
        });
        break;
      case R.sleep:
        if (get(s, "tasksFd") === 1) move("lead: poll", (to) => go(to, R.clear));
        break;
      case R.clear:
        move("nffi__eventfd_clear", (to) => {
          to[at.tasksFd] = 0;
          go(to, R.relock);
        });
        break;
      case R.relock:
        lock("lead: pthread_mutex_lock", R.revoke);
        break;
      case R.lockAgain:
        lock("nffi_queue_poll: pthread_mutex_lock", R.notes);
        break;
      case R.revoke:
        move("lead: nffi__revoke_parked", (to) => {
          store(to, who, "runtimeParked", 0, false);
          to[at.led] = 0;
          go(to, R.notes);
        });
        break;
      case R.follow:
        break; // until the other side signals
      case R.followed:
        lock("follow: pthread_cond_wait returns", R.notes);
        break;
      case R.leave:
        leave(s, index, move, go);
        break;
      case R.handler:
        move("handler", (to) => go(to, R.respond));
        if (setting.stuck && get(s, "stuck") === 0) {
          move("handler never returns", (to) => {
            to[at.stuck] = own;
            go(to, R.stuck);
          });
        }
        break;
      case R.respond:
        lock("nffi_respond: pthread_mutex_lock", R.finish);
        break;
      case R.finish:
        move("nffi__finish: nffi__ring_publish", (to) => {
          finish(to);
          to[me + 1] = NONE;
          go(to, W.answered.look);
        });
        break;
      case R.armLock:
        lock(
          "nffi_queue_arm: pthread_mutex_lock",
          has("arm: clear first") ? R.armClear : R.armAnnounce,
        );
        break;
      case R.armClear:
        move("nffi_queue_arm: nffi__eventfd_clear", (to) => {
          to[at.tasksFd] = 0;
          go(to, R.armAnnounce);
        });
        break;
      case R.armAnnounce:
        move("nffi_queue_arm: nffi__announce_parked", (to) => {
          store(to, who, "runtimeParked", 1);
          go(to, has("arm: notes") ? R.armNotes : has("arm: look again") ? R.armLook : R.armClosed);
        });
        break;
      case R.armNotes:
        move("nffi_queue_arm: nffi__take_notes", (to) => {
          takeNotes(to);
          go(to, has("arm: look again") ? R.armLook : R.armClosed);
        });
        break;
      case R.armLook:
        move("nffi_queue_arm: nffi__ring_waiting", (to) => {
          const news = get(s, "news") === 1;
          if (tasksWait() || news) {
            if (has("arm: told once")) to[at.news] = 0;
            go(to, R.armRevoke);
          } else {
            go(to, R.armClosed);
          }
        });
        break;
      case R.armClosed:
        move("nffi_queue_arm: closed", (to) => {
          if (load(s, who, "closed")) {
            go(to, R.armRevoke);
          } else if (has("arm: clear first")) {
            unlock(to);
            go(to, R.armSleep);
          } else {
            go(to, R.armClearLate);
          }
        });
        break;
      case R.armClearLate:
        move("nffi_queue_arm: nffi__eventfd_clear", (to) => {
          to[at.tasksFd] = 0;
          unlock(to);
          go(to, R.armSleep);
        });
        break;
      case R.armRevoke:
        move("nffi_queue_arm: nffi__revoke_parked", (to) => {
          store(to, who, "runtimeParked", 0, false);
          unlock(to);
          go(to, R.cancelled);
        });
        break;
      case R.armSleep:
        if (get(s, "tasksFd") === 1) move("the loop of the runtime", (to) => go(to, R.cancelled));
        break;
      case R.cancelled:
        move("nffi_queue_cancelled", (to) => go(to, R.lock));
        break;
    }
  }

  /** The end of nffi_queue_poll: a task was taken, or the end was seen. */
  function leave(
    s: State,
    index: number,
    move: (name: string, change: (to: State) => void) => void,
    go: (to: State, place: number) => void,
  ): void {
    const me = base + index * THREAD;
    const end = s[me + 1] === NONE;
    const followers: number[] = [];
    let woken = false;
    for (let i = 0; i < threads; i++) {
      if (s[base + i * THREAD] === R.follow) followers.push(base + i * THREAD);
      if (s[base + i * THREAD] === R.followed) woken = true;
    }
    const then = end ? W.ended.look : W.answered.look;
    const due = get(s, "led") === 0 && !woken && has("leave: next leader");
    if (!due || followers.length === 0) {
      move("nffi__pass_lead: nobody", (to) => go(to, then));
      return;
    }
    for (const follower of followers) {
      move("nffi__pass_lead: wake_at", (to) => {
        to[follower] = R.followed;
        go(to, then);
      });
    }
  }

  function broken(s: State): string | undefined {
    if (get(s, "linked") > 1) return "a task is twice on nginx's done queue";
    return undefined;
  }

  function badEnd(s: State): string | undefined {
    const places = Array.from({ length: threads }, (_, i) => s[base + i * THREAD]);
    const free = places.some((place) => place !== R.stuck);
    const held = get(s, "stuck") === 0 ? 0 : 1;
    if (free && get(s, "tasksHead") < get(s, "tasksTail")) return "a task waits for ever";
    if (get(s, "tasksHead") - held > get(s, "doneTail")) return "a task is not answered";
    if (get(s, "doneHead") < get(s, "doneTail")) return "a response waits for ever";
    const closed = get(s, "closed") === 1;
    if (free && !closed && get(s, "notesHead") < get(s, "notesTail")) {
      return "a cancellation waits for ever";
    }
    if (closed && places.some((place) => place !== R.over && place !== R.stuck)) {
      return "a thread of a closed runtime sleeps for ever";
    }
    return undefined;
  }

  return { start, moves, broken, badEnd };
}

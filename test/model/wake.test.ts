import { describe, expect, test } from "vitest";
import { codeBelow } from "../support/code.js";
import { explore } from "./explore.js";
import { wakeModel } from "./wake-model.js";
import { type Setting, STEPS, type Step } from "./wake-state.js";

/** Small, but each covers every interaction of its threads: larger numbers add nothing. */
const SETTINGS: Record<string, Setting> = {
  "one poller in the worker": { tasks: 3, pollers: 1, cancels: 1, close: true },
  "two pollers in the worker": { tasks: 2, pollers: 2, close: true },
  "two pollers, one in a handler that never returns": { tasks: 2, pollers: 2, stuck: true },
  "two pollers and a cancelled task": { tasks: 2, pollers: 2, cancels: 1 },
  "two pollers in a process": { tasks: 2, pollers: 2, close: true, process: true },
  "one poller in a process": { tasks: 3, pollers: 1, cancels: 1, close: true, process: true },
  "an event loop in the worker": { tasks: 2, pollers: 0, cancels: 1, close: true },
  "an event loop in a process": { tasks: 2, pollers: 0, cancels: 1, process: true },
};

const walked = new Set<string>();

describe("the wake-up protocol loses nothing and ends", () => {
  test.each(Object.entries(SETTINGS))("%s", (_, setting) => {
    const { states, moves, fault } = explore(wakeModel(setting));
    expect(fault).toBeUndefined();
    expect(states).toBeGreaterThan(500);
    for (const move of moves) walked.add(move);
  });
});

/** For each step what it does, the smallest setting that shows the fault, and that fault. */
const NEEDED: Record<Step, [what: string, setting: Setting, fault: string]> = {
  "park: look again": [
    "nffi_host_park looks at the done ring after it has announced",
    { tasks: 2, pollers: 1 },
    "a response waits for ever",
  ],
  "park: announce first": [
    "nffi_host_park announces before it looks",
    { tasks: 2, pollers: 1 },
    "a response waits for ever",
  ],
  "park: seq_cst": [
    "nffi__announce_parked of the host is sequentially consistent",
    { tasks: 2, pollers: 1, process: true },
    "a response waits for ever",
  ],
  "lead: look again": [
    "has_tasks() looks at the task ring after it has announced",
    { tasks: 1, pollers: 1 },
    "a task waits for ever",
  ],
  "lead: look at notes": [
    "has_notes() looks at the ring of notes after it has announced",
    { tasks: 1, pollers: 2, cancels: 1, stuck: true },
    "a cancellation waits for ever",
  ],
  "lead: seq_cst": [
    "nffi__announce_parked of the runtime is sequentially consistent",
    { tasks: 1, pollers: 1 },
    "a task waits for ever",
  ],
  "lead: says how it sleeps": [
    "nffi__announce_parked of a thread of the worker says that it sleeps on the word",
    { tasks: 1, pollers: 1 },
    "a task waits for ever",
  ],
  "word: compare": [
    "nffi__word_wait does not sleep when the host has changed the word",
    { tasks: 1, pollers: 1 },
    "a task waits for ever",
  ],
  "submit: seq_cst": [
    "nffi__ring_publish of a task is sequentially consistent",
    { tasks: 1, pollers: 1 },
    "a task waits for ever",
  ],
  "finish: seq_cst": [
    "nffi__ring_publish of a response is sequentially consistent",
    { tasks: 2, pollers: 1 },
    "a response waits for ever",
  ],
  "close: wake": [
    "nffi_host_close wakes the runtime",
    { tasks: 0, pollers: 1, close: true },
    "a thread of a closed runtime sleeps for ever",
  ],
  "leave: next leader": [
    "a poller that leaves makes a follower lead",
    { tasks: 2, pollers: 2, stuck: true },
    "a task waits for ever",
  ],
  "poll: wake before waiting": [
    "nffi_queue_poll tells of skipped tasks before it waits",
    { tasks: 1, pollers: 1, cancels: 1 },
    "a response waits for ever",
  ],
  "wake: once": [
    "ngx_http_lua_nffi_wake_post posts its task only when it is not on its way",
    { tasks: 3, pollers: 1 },
    "a task is twice on nginx's done queue",
  ],
  "woken: clear first": [
    "ngx_http_lua_nffi_wake_handler clears the mark before it collects",
    { tasks: 3, pollers: 1 },
    "a response waits for ever",
  ],
  "collect: go on": [
    "ngx_http_lua_nffi_collect posts itself when its turn did not suffice",
    { tasks: 2, pollers: 1 },
    "a response waits for ever",
  ],
  "arm: clear first": [
    "nffi_queue_arm clears the eventfd before it looks",
    { tasks: 1, pollers: 0 },
    "a task waits for ever",
  ],
  "arm: look again": [
    "nffi_queue_arm looks at the task ring after it has announced",
    { tasks: 1, pollers: 0 },
    "a task waits for ever",
  ],
  "arm: notes": [
    "nffi_queue_arm looks at the notes, too",
    { tasks: 1, pollers: 0, cancels: 1 },
    "a cancellation waits for ever",
  ],
  "arm: told once": [
    "nffi_queue_arm tells of a note once",
    { tasks: 1, pollers: 0, cancels: 1 },
    "goes in circles",
  ],
};

describe("a fault is found when the walk leaves out", () => {
  test.each(STEPS.map((step) => [step, ...NEEDED[step]] as const))(
    "%s: %s",
    (step, _, setting, fault) => {
      expect(explore(wakeModel(setting)).fault).toBeUndefined();
      expect(explore(wakeModel({ ...setting, without: step })).fault?.what).toBe(fault);
    },
  );
});

test("every move bears the name of a function of the code", () => {
  const code = codeBelow("c-src/lib", "c-src/ngx", "patches");
  const names = [...walked].flatMap((move) => move.match(/\b(nffi_\w+|ngx_\w+|\w+_\w+)\b/g) ?? []);
  expect(names.length).toBeGreaterThan(30);
  const ofNginx = /^(ngx_thread_pool_handler|ngx_epoll_process_events|ngx_notify)$/;
  expect(names.filter((name) => !ofNginx.test(name) && !code.includes(name))).toEqual([]);
});

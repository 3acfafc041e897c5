import { describe, expect, test } from "vitest";
import { codeBelow } from "../support/code.js";
import { explore } from "./explore.js";
import { leaderModel } from "./leader-model.js";
import { LEADER_STEPS, type LeaderSetting, type LeaderStep } from "./leader-state.js";

const stalled = { tasks: 1, pollers: 2, writers: 1, spins: true };
const twoWriters = { tasks: 0, pollers: 0, writers: 2, spins: true, credits: 2 };
const ended = { tasks: 0, pollers: 1, writers: 1, ends: true, spins: true };
const skipped = { tasks: 2, pollers: 1, writers: 1, skips: true, spins: true };
const timedPoller = { tasks: 2, pollers: 2, writers: 0, spins: true, timed: 1, stuck: true };
const timedWriter = { tasks: 1, pollers: 1, writers: 2, credits: 1, timed: 2 };
const loop = { tasks: 1, pollers: 0, writers: 1, credits: 1, spins: true, loop: true, news: true };

/** Small, and yet each shows what can happen between threads of these kinds. */
const SETTINGS: Record<string, LeaderSetting> = {
  "two pollers and a stalled writer": { ...stalled, tasks: 2, stuck: true },
  "three pollers and a stalled writer": { tasks: 2, pollers: 3, writers: 1, stuck: true },
  "two pollers, a stalled writer, and the end": { ...stalled, close: true },
  "two writers that get credit": twoWriters,
  "a poller and two writers": { ...twoWriters, tasks: 1, pollers: 1, credits: 1 },
  "two writers without a poller": { tasks: 0, pollers: 0, writers: 2, ends: true, spins: true },
  "credit for a stream that no thread waits for": {
    ...{ tasks: 1, pollers: 1, writers: 1, spins: true, news: true, close: true },
  },
  "a stream that another thread ends": ended,
  "a task that was cancelled in the queue": skipped,
  "a poller whose time is over": { ...stalled, timed: 1 },
  "pollers, one of them timed": timedPoller,
  "a writer whose time is over": timedWriter,
  "a loop beside a writer": loop,
  "a loop beside a poller and a writer": {
    ...{ tasks: 1, pollers: 1, writers: 1, credits: 1, spins: true, loop: true },
  },
  "a loop beside a poller, and the end": {
    ...{ tasks: 1, pollers: 1, writers: 0, loop: true, close: true },
  },
};

const walked = new Set<string>();

describe("threads that share a queue lose nothing and sleep", () => {
  describe.each([
    ["in the worker", false],
    ["in a process", true],
  ])("%s", (_place, process) => {
    test.each(Object.entries(SETTINGS))("%s", (_, setting) => {
      const { moves, fault } = explore(leaderModel({ ...setting, process }));
      expect(fault).toBeUndefined();
      for (const move of moves) walked.add(move);
    });
  });
});

const TASK = "a task waits for ever";
const WRITER = "a writer waits for ever";

/** For each step what it does, the setting that shows the fault, and that fault. */
const NEEDED: Record<LeaderStep, [what: string, setting: LeaderSetting, fault: string]> = {
  "writer: hand over": [
    "nffi__wait_for_credit wakes a poller that follows",
    stalled,
    "goes in circles",
  ],
  "writer: looks for tasks of a follower": [
    "has_work() of a writer looks at the task ring while a poller follows",
    stalled,
    TASK,
  ],
  "writer: looks for the end of a follower": [
    "has_work() of a writer looks for the end while a poller follows",
    { tasks: 0, pollers: 1, writers: 1, spins: true, close: true },
    "a poller of a closed queue waits for ever",
  ],
  "writer: follows a woken poller": [
    "nffi__wait_for_credit does not lead while a woken poller is on its way",
    stalled,
    "goes in circles",
  ],
  "lead: look at tasks": [
    "has_work() of a poller looks at the task ring after the announcement",
    { tasks: 1, pollers: 1, writers: 0 },
    TASK,
  ],
  "lead: look at notes": [
    "has_work() looks at the ring of notes after the announcement",
    { tasks: 0, pollers: 0, writers: 1, credits: 1 },
    WRITER,
  ],
  "spin: notes that another thread took": [
    "spin_unlocked() compares the head of the ring of notes",
    twoWriters,
    WRITER,
  ],
  "pass: pollers": ["nffi__pass_lead wakes a poller", timedPoller, TASK],
  "pass: writers": [
    "nffi__pass_lead wakes a writer where no poller follows",
    { tasks: 1, pollers: 1, writers: 1, credits: 1, stuck: true },
    WRITER,
  ],
  "leave: pollers pass the lead": ["nffi_queue_poll passes the lead on", timedPoller, TASK],
  "leave: writers pass the lead": ["nffi_stream_wait passes the lead on", timedWriter, TASK],
  "poll: look again after waking the host": [
    "nffi_queue_poll looks again after it has released the mutex to wake the host",
    skipped,
    TASK,
  ],
  "follow: woken while it timed out": [
    "follow() counts a wake-up that came when its time was over",
    { tasks: 1, pollers: 2, writers: 1, timed: 1, credits: 1, stuck: true },
    WRITER,
  ],
  "note: wake the threads of the stream": [
    "take_note() wakes the threads that wait for this stream",
    { tasks: 0, pollers: 1, writers: 1, credits: 1 },
    WRITER,
  ],
  "finish: wake the threads of the stream": [
    "nffi__finish wakes the threads that wait for this stream",
    ended,
    WRITER,
  ],
  "finish: nudge the leader": [
    "nffi__finish makes a writer that leads look again",
    { tasks: 0, pollers: 0, writers: 1, ends: true },
    WRITER,
  ],
  "nudge: mark for one that spins": [
    "lead() does not sleep when another thread has nudged it while it spun",
    { tasks: 0, pollers: 0, writers: 1, ends: true, spins: true },
    WRITER,
  ],
  "nudge: change the word": [
    "nffi__nudge_leader changes the word before it wakes",
    { tasks: 0, pollers: 0, writers: 1, ends: true },
    WRITER,
  ],
  "arm: threads follow": ["no thread leads beside one that arms", loop, TASK],
  "arm: nudge the leader": [
    "take_descriptor() makes the leader leave",
    { tasks: 0, pollers: 0, writers: 1, loop: true },
    "a loop never sleeps",
  ],
};

describe("a fault is found when the walk leaves out", () => {
  test.each(LEADER_STEPS.map((step) => [step, ...NEEDED[step]] as const))(
    "%s: %s",
    (step, _, setting, fault) => {
      expect(explore(leaderModel(setting)).fault).toBeUndefined();
      expect(explore(leaderModel({ ...setting, without: step })).fault?.what).toBe(fault);
    },
  );
});

test("every move is named after a function of the code", () => {
  const code = codeBelow("c-src/lib");
  const names = [...walked].flatMap((move) => move.match(/\b\w+_\w+\b/g) ?? []);
  expect(names.length).toBeGreaterThan(30);
  expect(names.filter((name) => !code.includes(name))).toEqual([]);
});

/**
 * A pool of worker threads for CPU-bound modules: each thread loads the module. The main thread
 * takes the calls and passes one to a thread that can start it, so that no call waits behind a long
 * one while another thread is free. Only the handle of a task is passed; the thread reads the
 * request and responds.
 *
 * A thread that ends fails its calls and is replaced, after 0.1 s, doubling up to 30 s; a minute of
 * running resets the delay, as for processes.
 */

import { Worker } from "node:worker_threads";
import type { Addon, Memory } from "./addon.js";
import { REQUEST } from "./addon.js";
import type { Compilation } from "./compiled-file.js";
import { logNow } from "./console.js";
import { NEVER_STARTED, type Server } from "./dispatch.js";
import { inOneLine } from "./ending.js";
import { compileForThreads } from "./load-module.js";
import {
  freeMember,
  isAvailableSoon,
  type Member,
  memberOf,
  nextPauseMs,
  send,
} from "./pool-member.js";
import type { ProfileKind } from "./profile.js";
import type { Responses } from "./responses.js";
import { keyOf, type Task } from "./task.js";
import type { FromThread, ThreadData } from "./thread-messages.js";

export interface PoolOptions extends Omit<ThreadData, "number" | "compiled"> {
  readonly threads: number;
}

export class Pool implements Server {
  readonly #addon: Pick<Addon, "isCancelled">;
  readonly #memory: Memory;
  readonly #responses: Responses;
  readonly #options: PoolOptions;
  readonly #members: readonly Member[];
  /** Taken, but no thread can start them yet. */
  readonly #waiting: Task[] = [];
  #running = 0;
  #isClosed = false;

  onIdle: (() => void) | undefined;

  constructor(
    addon: Pick<Addon, "isCancelled">,
    memory: Memory,
    responses: Responses,
    options: PoolOptions,
  ) {
    this.#addon = addon;
    this.#memory = memory;
    this.#responses = responses;
    this.#options = options;
    this.#members = Array.from({ length: options.threads }, (_, index) => memberOf(index + 1));
  }

  get running(): number {
    return this.#running;
  }

  /** Resolves when every thread serves; rejects with the reason of the first that cannot. */
  async load(): Promise<void> {
    const compiled = await compileForThreads(this.#options.module);
    await Promise.all(
      this.#members.map(
        (member) =>
          new Promise<void>((resolve, reject) => {
            this.#startThread(member, resolve, reject, compiled);
          }),
      ),
    );
  }

  start(count: number): void {
    const { requests } = this.#memory;
    for (let index = 0; index < count; index++) {
      const at = index * REQUEST.words;
      this.#waiting.push({
        low: requests[at + REQUEST.low] as number,
        high: requests[at + REQUEST.high] as number,
      });
    }
    this.#running += count;
    this.#handOver();
  }

  cancelled(task: Task): void {
    this.#notifyOwner("cancelled", task);
  }

  writable(task: Task): void {
    this.#notifyOwner("writable", task);
  }

  /** No more calls come. */
  close(): void {
    this.#isClosed = true;
    this.#handOver();
  }

  /** Of each thread; one that computes begins when it returns to its event loop. */
  profile(kind: ProfileKind): void {
    for (const member of this.#members) send(member, { kind: "profile", profile: kind });
  }

  #notifyOwner(kind: "cancelled" | "writable", task: Task): void {
    const key = keyOf(task);
    const owner = this.#members.find(({ calls }) => calls.has(key));
    if (owner !== undefined) send(owner, { kind, task });
  }

  #handOver(): void {
    while (this.#waiting.length > 0) {
      const member = freeMember(this.#members);
      if (member === undefined) break;
      const task = this.#waiting.shift() as Task;
      if (this.#addon.isCancelled(task.low, task.high)) {
        this.#responses.fail(task, NEVER_STARTED);
        this.#ended(1);
        continue;
      }
      member.isTaken = true;
      member.calls.set(keyOf(task), task);
      send(member, { kind: "call", task });
    }
    if (this.#waiting.length > 0 && !this.#members.some(isAvailableSoon)) this.#failWaiting();
    if (this.#waiting.length === 0 && this.#isClosed) {
      for (const member of this.#members) send(member, { kind: "closed" });
    }
  }

  #startThread(
    member: Member,
    ready: () => void,
    failed: (reason: Error) => void,
    compiled?: Compilation,
  ): void {
    const { module, codec, config, profileFolder } = this.#options;
    const { number } = member;
    const data: ThreadData = { number, module, codec, config, profileFolder, compiled };
    const worker = new Worker(new URL("./thread.js", import.meta.url), { workerData: data });
    member.worker = worker;
    let reason: string | undefined;
    let detail = "";

    worker.on("message", (message: FromThread) => {
      if (message.kind === "progress") this.#progress(member, message.started, message.ended);
      if (message.kind === "dying") reason = message.reason;
      if (message.kind === "failed") {
        reason = message.message;
        detail = message.detail;
      }
      if (message.kind !== "ready") return;
      member.isReady = true;
      member.since = Date.now();
      ready();
      this.#handOver();
    });
    // The thread itself reports errors of the module; this is a full heap.
    worker.on("error", (error) => {
      reason ??= inOneLine(error.message);
      logNow("error", `${module}: thread ${member.number}: ${reason}`);
    });
    worker.on("exit", (code) => {
      reason ??= `exit code ${code}`;
      if (!member.isReady) failed(withStack(reason, detail));
      this.#died(member, reason);
    });
  }

  #progress(member: Member, started: boolean, ended: readonly Task[]): void {
    if (started) member.isTaken = false;
    let count = 0;
    for (const task of ended) count += Number(member.calls.delete(keyOf(task)));
    this.#handOver();
    this.#ended(count);
  }

  #died(member: Member, reason: string): void {
    const lost = [...member.calls.values()];
    const pauseMs = nextPauseMs(member);
    const message = `${this.#nameOf(member)} ended: ${reason}`;
    member.reason = reason;
    member.calls.clear();
    member.worker = undefined;
    member.isReady = false;
    member.isTaken = false;
    for (const task of lost) this.#responses.fail(task, { message, detail: "" });

    // After the close it is replaced only for waiting calls.
    if (!this.#isClosed || this.#waiting.length > 0) {
      member.pauseMs = pauseMs;
      setTimeout(() => this.#replace(member), pauseMs);
    }
    this.#handOver();
    this.#ended(lost.length);
  }

  #replace(member: Member): void {
    const name = this.#nameOf(member);
    this.#startThread(
      member,
      () => logNow("notice", `${name} was started again`),
      ({ message }) => logNow("error", `${name} cannot be started again: ${message}`),
    );
  }

  /** Every thread has ended more than once in a row: the next one may not do better. */
  #failWaiting(): void {
    const reason = this.#members.find((member) => member.reason !== undefined)?.reason;
    const message = `${this.#options.module}: all threads have ended: ${reason}`;
    const failed = this.#waiting.splice(0);
    for (const task of failed) this.#responses.fail(task, { message, detail: "" });
    this.#ended(failed.length);
  }

  #ended(count: number): void {
    this.#running -= count;
    if (count > 0 && this.#running === 0) this.onIdle?.();
  }

  #nameOf({ number }: Member): string {
    return `${this.#options.module}: thread ${number}`;
  }
}

/** An error of a thread, as it was there. */
function withStack(message: string, stack: string): Error {
  const error = new Error(message);
  error.stack = stack;
  return error;
}

/**
 * The program of a worker thread of the pool: loads the module and serves the calls that the main
 * thread passes. It reads their requests and responds through a separate addon instance.
 */

import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { loadAddon, viewMemory } from "./addon.js";
import { codecOf } from "./codec.js";
import { markConsole, markWarnings } from "./console.js";
import { Dispatcher } from "./dispatch.js";
import { Ending } from "./ending.js";
import { loadModule } from "./load-module.js";
import { Methods } from "./methods.js";
import { Profiler } from "./profile.js";
import { Responses } from "./responses.js";
import type { Task } from "./task.js";
import type { FromThread, ThreadData, ToThread } from "./thread-messages.js";

async function main(port: MessagePort, data: ThreadData): Promise<void> {
  const { module, codec, config, number, profileFolder, compiled } = data;
  const addon = loadAddon();
  const memory = viewMemory(addon.join());
  const responses = new Responses(memory, addon);
  const say = (message: FromThread) => port.postMessage(message);
  let dispatcher: Dispatcher | undefined;

  const ending = new Ending({
    where: `thread ${number}`,
    failed: (message, detail) => say({ kind: "failed", message, detail }),
    dying: (reason) => say({ kind: "dying", reason }),
    flush: () => responses.flush(),
    running: () => dispatcher?.running ?? 0,
  });
  ending.module = module;
  ending.install();
  markConsole(console, [process.stdout, process.stderr]);
  markWarnings();

  try {
    const { namespace } = await loadModule(module, compiled);
    const methods = new Methods(module, namespace);
    dispatcher = new Dispatcher(addon, memory, responses, {
      methods,
      codec: codecOf(codec),
      config,
    });
    serve(port, dispatcher, responses, ({ low, high }) => addon.take(low, high) === 0);
    profileWhenAsked(port, profileFolder, module, number);
    ending.loaded();
    say({ kind: "ready" });
  } catch (error) {
    ending.loadFailed(error);
  }
}

function serve(
  port: MessagePort,
  dispatcher: Dispatcher,
  responses: Responses,
  take: (task: Task) => boolean,
): void {
  let ended: Task[] = [];
  let isReportDue = false;

  // A response is sent before the main thread forgets its call: if this thread died in between, the
  // call would get no response.
  const report = (started: boolean) => {
    isReportDue = false;
    responses.flush();
    if (!started && ended.length === 0) return;
    port.postMessage({ kind: "progress", started, ended } satisfies FromThread);
    ended = [];
  };

  dispatcher.onEnded = ({ low, high }) => {
    ended.push({ low, high });
    if (isReportDue) return;
    isReportDue = true;
    process.nextTick(() => {
      if (isReportDue) report(false);
    });
  };

  port.on("message", (message: ToThread) => {
    // From then on this thread stays for its calls only, not for the messages.
    if (message.kind === "closed") port.unref();
    if (!("task" in message)) return;
    const { task } = message;
    if (message.kind === "cancelled") dispatcher.cancelled(task);
    if (message.kind === "writable") dispatcher.writable(task);
    if (message.kind !== "call") return;
    if (take(task)) dispatcher.start(1);
    else ended.push(task);
    report(true);
  });
}

function profileWhenAsked(
  port: MessagePort,
  folder: string | undefined,
  module: string,
  number: number,
): void {
  if (folder === undefined) return;
  const profiler = new Profiler(folder, module, `thread ${number}`);
  port.on("message", (message: ToThread) => {
    if (message.kind === "profile") profiler.profile(message.profile);
  });
}

if (parentPort !== null) await main(parentPort, workerData as ThreadData);

/**
 * The program of the process in which a worker of nginx runs a module: it attaches to the queue,
 * loads the module, and answers requests until the queue is closed. It imports nothing outside its
 * folder but Node and the type stripper, since it is installed alone (PREFIX/nffi/node).
 */

import { type Addon, loadAddon, type Memory, viewMemory } from "./addon.js";
import { Answers } from "./answers.js";
import { Batch } from "./batch.js";
import { json, raw } from "./codec.js";
import { markConsole, markWarnings } from "./console.js";
import { Cancellations } from "./context.js";
import { Dispatcher } from "./dispatch.js";
import { Ending } from "./ending.js";
import { loadModule } from "./load-module.js";
import { Logs } from "./log.js";
import { Methods } from "./methods.js";
import { parseSettings, takeSettings } from "./settings.js";
import { Streams } from "./streams.js";

/** How often calls that still run after the end of the queue learn that nobody waits for them. */
const CANCELLATION_PERIOD_MS = 50;

async function main(): Promise<void> {
  const text = takeSettings(process.env);
  const addon = loadAddon();
  const memory = viewMemory(
    addon.attach({
      onBatch: (count) => dispatcher?.start(count),
      onCancelled: (count) => {
        for (const [low, high] of toldTasks(memory, count)) cancellations.cancel(low, high);
      },
      onWritable: (count) => {
        for (const [low, high] of toldTasks(memory, count)) streams.writable(low, high);
      },
      onClosed: () => {
        if (dispatcher !== undefined) endWhenIdle(addon, dispatcher, ending);
      },
    }),
  );
  const answers = new Answers(memory, addon);
  const cancellations = new Cancellations(addon);
  const streams = new Streams(addon);
  let dispatcher: Dispatcher | undefined;

  const ending = new Ending({
    failed: (message) => addon.failed(message),
    flush: () => answers.flush(),
    running: () => dispatcher?.running ?? 0,
  });
  ending.install();
  markConsole(console, [process.stdout, process.stderr]);
  markWarnings();

  try {
    const { module, codec, config } = parseSettings(text);
    ending.module = module;
    const { namespace } = await loadModule(module);
    const methods = new Methods(module, namespace);
    const served = { methods, codec: codec === "raw" ? raw : json, config };
    dispatcher = new Dispatcher(
      { batch: new Batch(memory, addon), answers, cancellations, streams, logs: new Logs(addon) },
      served,
    );
    addon.serve();
    ending.loaded();
  } catch (error) {
    ending.loadFailed(error);
  }
}

/** The handles are taken out first: a callback may come back into the addon. */
function toldTasks({ told }: Memory, count: number): [number, number][] {
  return Array.from(
    { length: count },
    (_, i) => [told[i * 2], told[i * 2 + 1]] as [number, number],
  );
}

function endWhenIdle(addon: Addon, dispatcher: Dispatcher, ending: Ending): void {
  if (dispatcher.running === 0) ending.finished();
  dispatcher.onIdle = () => ending.finished();
  // Unreferenced: when nothing else is left to happen, the running calls can never be answered.
  setInterval(() => addon.tellCancelled(), CANCELLATION_PERIOD_MS).unref();
}

main().catch((error: unknown) => {
  // There is no worker that could be told.
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});

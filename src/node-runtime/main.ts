/**
 * The program of a process that runs a module for an nginx worker: it attaches to the queue,
 * loads the module, and responds to requests until the queue is closed. It imports only Node and
 * the type stripper from outside its directory, since it is installed alone (PREFIX/nffi/node).
 */

import { AsyncResource } from "node:async_hooks";
import { loadAddon, type Memory, viewMemory } from "./addon.js";
import { codecOf } from "./codec.js";
import { logNow, markConsole, markWarnings } from "./console.js";
import { Dispatcher, type Server } from "./dispatch.js";
import { Ending } from "./ending.js";
import { openInspector } from "./inspect.js";
import { loadModule } from "./load-module.js";
import { Methods } from "./methods.js";
import { Pool } from "./pool.js";
import { checkProfileFolder, onProfileSignals, Profiler } from "./profile.js";
import { Responses } from "./responses.js";
import { parseSettings, type Settings } from "./settings.js";
import type { Task } from "./task.js";

/** How often calls that still run after the end of the queue are checked for cancellation. */
const CANCELLATION_PERIOD_MS = 50;

async function main(): Promise<void> {
  const addon = loadAddon();
  const memory = viewMemory(
    addon.attach({
      onBatch: inScope((count) => server?.start(count)),
      onCancelled: inScope((count) => {
        for (const task of notedTasks(memory, count)) server?.cancelled(task);
      }),
      onWritable: inScope((count) => {
        for (const task of notedTasks(memory, count)) server?.writable(task);
      }),
      onClosed: inScope(() => {
        if (server === undefined) return;
        if (server instanceof Pool) server.close();
        endWhenIdle(server, ending, () => addon.reportCancelled());
      }),
    }),
  );
  const responses = new Responses(memory, addon);
  let server: Server | undefined;

  const ending = new Ending({
    where: "process",
    failed: (message) => addon.failed(message),
    flush: () => responses.flush(),
    running: () => server?.running ?? 0,
  });
  ending.install();
  markConsole(console, [process.stdout, process.stderr]);
  markWarnings();

  const serveHere = async ({ module, codec, config }: Settings) => {
    const { namespace } = await loadModule(module);
    const methods = new Methods(module, namespace);
    return new Dispatcher(addon, memory, responses, { methods, codec: codecOf(codec), config });
  };
  const serveInThreads = async (settings: Settings) => {
    const pool = new Pool(addon, memory, responses, settings);
    await pool.load();
    return pool;
  };

  try {
    const settings = parseSettings(addon.config());
    ending.module = settings.module;
    await prepare(settings, () => server);
    server = await (settings.threads > 0 ? serveInThreads(settings) : serveHere(settings));
    addon.serve();
    ending.loaded();
  } catch (error) {
    ending.loadFailed(error);
  }
}

/** The setup that does not depend on the module, before it is loaded. */
async function prepare(settings: Settings, server: () => Server | undefined): Promise<void> {
  const { module, name, inspect, profileFolder } = settings;
  process.title = `nffi: ${name}`;
  if (profileFolder !== undefined) {
    checkProfileFolder(profileFolder);
    const profiler = new Profiler(profileFolder, module, "process");
    onProfileSignals((kind) => {
      const serving = server();
      (serving instanceof Pool ? serving : profiler).profile(kind);
    });
  }
  if (inspect !== undefined) {
    logNow("notice", `${module}: the inspector listens on ${await openInspector(inspect)}`);
  }
}

/**
 * Calls the function in an asynchronous scope of this program. It is older than the module: what
 * that enters into an AsyncLocalStorage while it is loaded reaches no call.
 */
function inScope<Args extends unknown[]>(run: (...args: Args) => void): (...args: Args) => void {
  const scope = new AsyncResource("nffi");
  return (...args) => scope.runInAsyncScope(run, undefined, ...args);
}

/** The handles are taken out first: a callback may come back into the addon. */
function notedTasks({ noted }: Memory, count: number): Task[] {
  return Array.from({ length: count }, (_, i) => ({
    low: noted[i * 2] as number,
    high: noted[i * 2 + 1] as number,
  }));
}

function endWhenIdle(server: Server, ending: Ending, reportCancelled: () => void): void {
  if (server.running === 0) ending.finished();
  server.onIdle = () => ending.finished();
  // Unreferenced: when nothing else is left to happen, the running calls can never be answered.
  setInterval(reportCancelled, CANCELLATION_PERIOD_MS).unref();
}

main().catch((error: unknown) => {
  // There is no worker to report to.
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});

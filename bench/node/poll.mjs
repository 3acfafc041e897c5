// The other design: this worker thread blocks in poll and posts each task to the main thread, which
// answers it.
import { createRequire } from "node:module";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import handle from "./echo.mjs";

const addon = createRequire(import.meta.url)(process.env.NODE_POLL_ADDON ?? "./poll.node");

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  worker.on("message", ({ task, bytes }) => addon.respond(task, handle(bytes)));
} else {
  addon.attach();
  for (;;) {
    const request = addon.poll();
    if (request === undefined) process.exit(0);
    parentPort.postMessage(request);
  }
}

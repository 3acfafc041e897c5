// The same handler for lua-resty-ffi's loader for Node: a thread polls, since a poll blocks, and
// the main thread responds. Payloads are strings there.
const { Worker, isMainThread, parentPort, workerData } = require("node:worker_threads");
const ffi = require("resty_ffi");

if (isMainThread) {
  exports.init = (_config, queue) => {
    const poller = new Worker(__filename, { workerData: queue });
    poller.on("message", (task) => ffi.respond(task, 0, ffi.get_req(task)));
    return 0;
  };
} else {
  for (;;) {
    const task = ffi.poll_task(workerData);
    if (task === 0n) break;
    parentPort.postMessage(task);
  }
}

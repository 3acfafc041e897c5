// The cost of a load that finds its runtime, beside a call of that runtime: both in one worker and
// in turns. `node bench/nginx/load.mjs PREFIX` prints microseconds and the ratio.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { startWorker, stopAll } from "./worker.mjs";

const prefix = resolve(process.argv[2] ?? ".nffi/openresty");
const dir = mkdtempSync(join(tmpdir(), "nffi-bench-"));
const ROUNDS = 7;

const echo = join(prefix, "nffi/lib/libnffi_echo.so");
const app = join(dir, "app.py");
const KINDS = {
  library: [echo, { config: "1" }],
  python: ["python", { module: app, codec: "raw" }],
  "python in the worker": ["python", { module: app, codec: "raw", host: "worker" }],
};

try {
  mkdirSync(join(dir, "logs"));
  writeFileSync(app, "def handle(value):\n    return value\n");
  const worker = await startWorker({ prefix, dir, pinned: false });
  for (const [kind, [load, options]] of Object.entries(KINDS)) {
    const literal = `{ ${Object.entries(options).map(([k, v]) => `${k} = "${v}"`)} }`;
    const common = { load, size: 64, count: 20000 };
    const loads = [];
    const calls = [];
    for (let round = 0; round < ROUNDS; round++) {
      calls.push(1e6 / (await worker.ask({ ...common, options: JSON.stringify(options) })));
      loads.push(1e6 / (await worker.ask({ ...common, options: literal, loads: 1 })));
    }
    const [loadTime, callTime] = [loads, calls].map((us) => us.sort((a, b) => a - b)[ROUNDS >> 1]);
    const ratio = (loadTime / callTime).toFixed(3);
    console.log(
      `${kind}: load ${loadTime.toFixed(2)} us, call ${callTime.toFixed(2)} us: ${ratio}`,
    );
  }
  await worker.stop();
} finally {
  stopAll();
  rmSync(dir, { recursive: true, force: true });
}

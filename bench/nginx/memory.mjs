// The memory of a runtime: in the worker, and of each process. Private memory (Private_Clean and
// Private_Dirty of /proc/PID/smaps_rollup), because other workers and processes share the rest.
// Measured after 10000 calls of 512 B.
//
//   node bench/nginx/memory.mjs PREFIX
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { productPrefix } from "../product.mjs";
import { runtimes } from "./runtimes.mjs";
import { startWorker, stopAll } from "./worker.mjs";

const prefix = productPrefix();

const dir = mkdtempSync(join(tmpdir(), "nffi-bench-"));
try {
  console.log(`${"".padEnd(24)}  in the worker   each process`);
  for (const row of runtimes(prefix, dir)) await measure(row);
} finally {
  stopAll();
  rmSync(dir, { recursive: true, force: true });
}

async function measure({ name, load, options }) {
  const worker = await startWorker({ prefix, dir, pinned: false });
  const size = 512;
  // so that Lua and the connections of the worker are not counted
  await worker.ask({ load: join(prefix, "nffi/lib/libnffi_echo.so"), size, count: 1000 });
  const before = await worker.ask({ memory: "worker" });
  const query = { load, ...(options && { options: JSON.stringify(options) }), size };
  await worker.ask({ ...query, count: 10000, together: 16 });
  const more = (await worker.ask({ memory: "worker" })) - before;
  const processes = await worker.ask({ memory: "process" });
  await worker.stop();
  const mb = (kb) => (kb ? `${(kb / 1024).toFixed(1)} MB` : "-").padStart(13);
  console.log(`${name.padEnd(24)}  ${mb(more)}  ${mb(processes)}`);
}

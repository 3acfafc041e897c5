// The cost of a call in each language, from Lua in a real worker: an echo of 512 B, one call after
// another and 64 at once, on one CPU and on two. Each language has its own worker; those whose
// compiler is not there are left out.
//
//   node bench/nginx/languages.mjs PREFIX [CALLS]
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { runtimes } from "./runtimes.mjs";
import { startWorker, stopAll } from "./worker.mjs";

const prefix = resolve(process.argv[2] ?? ".nffi/openresty");
const calls = Number(process.argv[3] ?? 20000);
const SIZE = 512;
const TOGETHER = 64;
const FIRST = 100000; // not measured: a virtual machine compiles what it runs often
if (!existsSync(join(prefix, "nffi/lib/libnffi_echo.so"))) {
  console.error(`no product of nffi in ${prefix}; name its prefix`);
  process.exit(2);
}

const dir = mkdtempSync(join(tmpdir(), "nffi-bench-"));
try {
  const rows = runtimes(prefix, dir);
  for (const pinned of [true, false]) {
    console.log(`${SIZE} B, ${pinned ? "one CPU" : "two CPUs"}`);
    for (const row of rows) await measure(row, pinned);
  }
} finally {
  stopAll();
  rmSync(dir, { recursive: true, force: true });
}

async function measure({ name, load, options, method, process }, pinned) {
  const worker = await startWorker({ prefix, dir, pinned });
  const given = process ? { ...options, affinity: pinned ? "inherit" : "all" } : options;
  const ask = (count, together) =>
    worker.ask({
      load,
      ...(given && { options: JSON.stringify(given) }),
      ...(method && { method }),
      size: SIZE,
      count,
      together,
    });
  await ask(FIRST, TOGETHER);
  const alone = await ask(calls, 1);
  const many = await ask(calls * 10, TOGETHER);
  await worker.stop();
  const us = (rate) => `${(1e6 / rate).toFixed(1).padStart(7)} us`;
  console.log(`  ${name.padEnd(24)} ${us(alone)} a call   ${us(many)} with ${TOGETHER} at once`);
}

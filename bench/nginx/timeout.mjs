// The cost of a timeout: calls of the echo library with 60 s, the default, and calls without a
// timeout, in turns in one worker.
//
//   node bench/nginx/timeout.mjs PREFIX [CALLS]
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { productPrefix } from "../product.mjs";
import { startWorker, stopAll } from "./worker.mjs";

const ROUNDS = 15;
const prefix = productPrefix();
const count = Number(process.argv[3] ?? 50000);
const library = join(prefix, "nffi/lib/libnffi_echo.so");

const dir = mkdtempSync(join(tmpdir(), "nffi-bench-"));
try {
  const worker = await startWorker({ prefix, dir, pinned: true });
  for (const together of [1, 64, 512]) {
    const ratios = [];
    for (let round = 0; round < ROUNDS; round++) {
      const rates = {};
      // each is first in half of the rounds
      for (const timeout of round % 2 ? [0, 60000] : [60000, 0]) {
        const query = { load: library, size: 64, count, together, timeout };
        rates[timeout] = await worker.ask(query);
      }
      ratios.push(rates[0] / rates[60000]);
    }
    ratios.sort((a, b) => a - b);
    const median = ratios[(ROUNDS - 1) / 2].toFixed(3);
    const [low, high] = [ratios[2], ratios[ROUNDS - 3]].map((ratio) => ratio.toFixed(3));
    console.log(
      `${String(together).padStart(4)} at once: ${median} of the time (${low} to ${high})`,
    );
  }
  await worker.stop();
} finally {
  stopAll();
  rmSync(dir, { recursive: true, force: true });
}

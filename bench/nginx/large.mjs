// How large payloads travel fastest: through the arena, or each in a memfd. The same Node handler
// with arenas of three sizes, asked in turns in one worker. A payload above an eighth of its arena
// is sent in a memfd, as is one that finds the arena full.
//
//   node bench/nginx/large.mjs PREFIX
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { productPrefix } from "../product.mjs";
import { startWorker, stopAll } from "./worker.mjs";

const ROUNDS = 3;
const MiB = 1 << 20;
const ARENAS = [8 * MiB, 64 * MiB, 256 * MiB];
const CASES = [
  { size: 102400, together: 64, count: 1280 },
  { size: MiB, together: 1, count: 60 },
  { size: MiB, together: 16, count: 96 },
  { size: 16 * MiB, together: 1, count: 4 },
];
const prefix = productPrefix();

const dir = mkdtempSync(join(tmpdir(), "nffi-bench-"));
try {
  const here = dirname(fileURLToPath(import.meta.url));
  copyFileSync(join(here, "echo.mjs"), join(dir, "echo.mjs"));
  await compare();
} finally {
  stopAll();
  rmSync(dir, { recursive: true, force: true });
}

async function compare() {
  const worker = await startWorker({ prefix, dir, pinned: false });
  console.log(`us per call, by arena\n${"".padEnd(28)}${row(ARENAS.map((a) => `${a / MiB} MiB`))}`);
  for (const given of CASES) {
    const times = ARENAS.map(() => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [index, arena] of ARENAS.entries()) {
        const options = JSON.stringify({ module: "echo.mjs", config: { arena }, arena });
        times[index].push(1e6 / (await worker.ask({ load: "node", options, ...given })));
      }
    }
    const cells = times.map((each) => each.sort((a, b) => a - b)[ROUNDS >> 1].toFixed(0));
    console.log(`${`${given.size} B, ${given.together} at once`.padEnd(28)}${row(cells)}`);
  }
  await worker.stop();
}

function row(cells) {
  return cells.map((cell) => String(cell).padStart(12)).join("");
}

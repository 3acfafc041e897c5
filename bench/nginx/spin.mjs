// The gain and the cost of spinning: time and CPU time of a call with several limits (`spin`), in
// turns in one worker on two CPUs, and CPU time of the worker and its processes while no call is
// made.
// With `beside`, small calls beside programs that compute on each CPU.
//
//   node bench/nginx/spin.mjs PREFIX [CALLS] [beside]
import { spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { productPrefix } from "../product.mjs";
import { startWorker, stopAll } from "./worker.mjs";

const ROUNDS = 5;
const SPINS = [0, 20, 200];
const CASES = [
  { size: 512, together: 1 },
  { size: 512, together: 64 },
  { size: 102400, together: 1 },
  { size: 102400, together: 64 },
  { size: 512, together: 1, pause: 0.001 },
];
const here = dirname(fileURLToPath(import.meta.url));
const prefix = productPrefix();
const calls = Number(process.argv[3] ?? 10000);
const library = join(prefix, "nffi/lib/libnffi_echo.so");

const dir = mkdtempSync(join(tmpdir(), "nffi-bench-"));
const programs = [];
process.once("SIGTERM", () => {
  cleanUp();
  process.exit(143);
});
try {
  copyFileSync(join(here, "echo.mjs"), join(dir, "echo.mjs"));
  if (process.argv[4] === "beside") {
    for (const _ of cpus()) programs.push(spawn("sh", ["-c", "while :; do :; done"]));
    await compare("beside programs that compute", CASES.slice(0, 1));
  } else {
    await compare("two CPUs", CASES);
  }
} finally {
  cleanUp();
}

function cleanUp() {
  for (const program of programs) program.kill();
  stopAll();
  rmSync(dir, { recursive: true, force: true });
}

async function compare(title, cases) {
  const worker = await startWorker({ prefix, dir, pinned: false });
  // another configuration is another runtime; it is the number of threads
  const one = (spin) => "1".padStart(1 + SPINS.indexOf(spin), "0");
  const query = (kind, spin) =>
    kind === "C"
      ? { load: library, options: JSON.stringify({ config: one(spin), spin }) }
      : { load: "node", options: JSON.stringify({ module: "echo.mjs", config: { spin }, spin }) };
  console.log(`${title}: us of time (CPU time) of a call, by spin\n${"".padEnd(28)}${row(SPINS)}`);
  for (const kind of ["C", "Node"]) {
    for (const given of cases) {
      const results = SPINS.map(() => ({ time: [], cpu: [] }));
      for (let round = 0; round < ROUNDS; round++) {
        for (const [index, spin] of SPINS.entries()) {
          const count = given.size > 1000 || given.pause ? calls / 4 : calls;
          const before = await worker.ask({ cpu: 1 });
          const rate = await worker.ask({ ...query(kind, spin), ...given, count });
          results[index].time.push(1e6 / rate);
          results[index].cpu.push(((await worker.ask({ cpu: 1 })) - before) / count);
        }
      }
      const cells = results.map(({ time, cpu }) => `${median(time)} (${median(cpu)})`);
      const name = `${kind}, ${given.size} B, ${given.pause ? "1 a ms" : `${given.together} at once`}`;
      console.log(`${name.padEnd(28)}${row(cells)}`);
    }
  }
  const before = await worker.ask({ cpu: 1 });
  await new Promise((done) => setTimeout(done, 2000));
  const idle = ((await worker.ask({ cpu: 1 })) - before) / 2e6;
  console.log(`while no call is made: ${(100 * idle).toFixed(2)} % of a CPU`);
  await worker.stop();
}

function median(values) {
  return values.sort((a, b) => a - b)[ROUNDS >> 1].toFixed(1);
}

function row(cells) {
  return cells.map((cell) => String(cell).padStart(18)).join("");
}

// The cost of a call as load grows: CPU time per call of the echo library with many calls in
// flight, runtimes and workers, relative to few, and of threads without nffi. Then the memory that
// a runtime and a waiting call cost in the worker.
//
//   [taskset -c 0] node bench/scale/run.mjs PREFIX [ROUNDS]
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "../free-port.mjs";
import { privateBytesOf } from "../private-memory.mjs";
import { productPrefix, startNginx } from "../product.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const prefix = productPrefix();
const rounds = Number(process.argv[3] ?? 7);
const MS = 1000;
const echo = join(prefix, "nffi/lib/libnffi_echo.so");

const BASE = { workers: 1, runtimes: 1, together: 64, spin: 200 };
const ONE = { ...BASE, together: 1 };
const MANY = { ...BASE, together: 6400 };
// Each with what it is compared with. 64 calls over 100 runtimes share no wake-up, so they are
// compared with single calls.
const CASES = [
  ["10,000 calls in flight, 64", { ...BASE, together: 10_000 }, BASE],
  ["8 workers, 1 worker, 64 calls each", { ...BASE, workers: 8 }, BASE],
  ["100 runtimes, 1 runtime, 64 calls each", { ...BASE, runtimes: 100, together: 6400 }, BASE],
  ["the same, 6400 calls both", { ...BASE, runtimes: 100, together: 6400 }, MANY],
  ["100 runtimes, 1 runtime, one call", { ...ONE, runtimes: 100 }, ONE],
  ["the same without spinning", { ...ONE, runtimes: 100, spin: 0 }, { ...ONE, spin: 0 }],
  ["64 calls over 100 runtimes, one call", { ...BASE, runtimes: 100 }, ONE],
];

const dir = mkdtempSync(join(tmpdir(), "nffi-scale-"));
for (let i = 1; i <= 100; i++) copyFileSync(echo, join(dir, `${i}.so`));
try {
  await costs();
  bareThreads();
  await memory();
} finally {
  rmSync(dir, { recursive: true, force: true });
}

async function costs() {
  const measured = new Map();
  for (let round = 0; round < rounds; round++) {
    for (const options of new Set(CASES.flatMap(([, ...both]) => both))) {
      const figures = measured.get(options) ?? [];
      measured.set(options, [...figures, await cpuOfCall(options)]);
    }
  }
  console.log("CPU time of a call, and relative to the second");
  for (const [name, options, base] of CASES) {
    const ratios = measured.get(options).map((us, round) => us / measured.get(base)[round]);
    const us = median(measured.get(options)).toFixed(2);
    console.log(`${name.padEnd(40)} ${us.padStart(6)} us  ${median(ratios).toFixed(2)}`);
  }
}

/** What a call of one of 100 threads costs at least: a wake-up of each side. */
function bareThreads() {
  const program = join(dir, "threads");
  execFileSync("cc", ["-O2", "-pthread", "-o", program, join(here, "threads.c")]);
  const ofThreads = (count) => Number(execFileSync(program, [String(count)]));
  const pairs = Array.from({ length: rounds }, () => [ofThreads(100), ofThreads(1)]);
  const us = median(pairs.map(([many]) => many)).toFixed(2);
  const ratio = median(pairs.map(([many, one]) => many / one)).toFixed(2);
  console.log(
    `${"100 threads in turns, 1, without nffi".padEnd(40)} ${us.padStart(6)} us  ${ratio}`,
  );
}

async function cpuOfCall(options) {
  const nginx = await start(options);
  try {
    await sleep(500);
    const before = [await nginx.ask("/calls"), nginx.cpu()];
    await sleep(MS);
    const after = [await nginx.ask("/calls"), nginx.cpu()];
    return (after[1] - before[1]) / (after[0] - before[0]);
  } finally {
    await nginx.stop();
  }
}

async function memory() {
  const idle = await memoryOf({ ...BASE, together: 0 });
  const runtimes = await memoryOf({ ...BASE, together: 0, runtimes: 100 });
  const one = await memoryOf({ ...BASE, waits: true, together: 64 });
  const many = await memoryOf({ ...BASE, waits: true, together: 10_000 });
  const kb = (bytes) => `${(bytes / 1024).toFixed(1)} KB`;
  console.log(`a runtime in the worker  ${kb((runtimes - idle) / 99)}`);
  console.log(`a waiting call of 512 B  ${kb((many - one) / (10_000 - 64))}`);
}

async function memoryOf(options) {
  const nginx = await start(options);
  try {
    await sleep(1500);
    return nginx.privateBytes();
  } finally {
    await nginx.stop();
  }
}

async function start(options) {
  const port = await freePort();
  const nginx = startNginx({ prefix, dir, conf: configuration(port, options) });
  const ask = async (path) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    if (!response.ok) throw new Error(readFileSync(join(dir, "logs/error.log"), "utf8"));
    return Number(await response.text());
  };
  for (let i = 0; i < 200; i++) {
    if ((await ask("/calls").catch(() => undefined)) !== undefined) break;
    await sleep(25);
  }
  const workers = () =>
    readFileSync(`/proc/${nginx.pid}/task/${nginx.pid}/children`, "utf8").trim().split(" ");
  return {
    ask,
    cpu: () => sum(workers().map(cpuOf)),
    privateBytes: () => sum(workers().map(privateBytesOf)),
    async stop() {
      await ask("/stop");
      await sleep(100);
      await nginx.stop();
    },
  };
}

function configuration(port, { workers, runtimes, together, spin, waits = false }) {
  return `
daemon off;
${process.getuid() === 0 ? "user root;" : ""}
worker_processes ${workers};
pid logs/nginx.pid;
error_log logs/error.log warn;
events { worker_connections 16384; }
http {
    access_log off;
    lua_package_path "${here}/?.lua;${prefix}/lualib/?.lua;;";
    lua_shared_dict scale 1m;
    lua_max_running_timers 1000;
    init_by_lua_block {
        local shared = ngx.shared.scale
        shared:flush_all()
        shared:set("state", "run")
        shared:set("calls", 0)
        shared:set("groups", 0)
    }
    init_worker_by_lua_block {
        local options = { runtimes = ${runtimes}, together = ${together}, spin = ${spin}, waits = ${waits} }
        ngx.timer.at(0, function() require("scale").start("${dir}", options) end)
    }
    server {
        listen 127.0.0.1:${port};
        location = /calls { content_by_lua_block { ngx.print(ngx.shared.scale:get("calls")) } }
        location = /stop {
            content_by_lua_block { ngx.shared.scale:set("state", "end") ngx.print(0) }
        }
    }
}
`;
}

/** Microseconds of all threads that still run. */
function cpuOf(pid) {
  const threads = readdirSync(`/proc/${pid}/task`);
  return (
    sum(
      threads.map((id) =>
        Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, "utf8").split(" ")[0]),
      ),
    ) / 1000
  );
}

function sum(numbers) {
  return numbers.reduce((total, one) => total + one, 0);
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[(numbers.length - 1) >> 1];
}

// What 64 workers with 10 runtimes each take, every runtime a small process in C: shared and
// private memory, descriptors, processes, and the time until all of them serve.
//
//   node bench/nginx/many-workers.mjs PREFIX [WORKERS] [RUNTIMES]
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { privateBytesOf } from "../private-memory.mjs";
import { productPrefix, startNginx } from "../product.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const prefix = productPrefix();
const workers = Number(process.argv[3] ?? 64);
const runtimes = Number(process.argv[4] ?? 10);

const dir = mkdtempSync(join(tmpdir(), "nffi-bench-"));
const program = join(dir, "brief");
let nginx;
try {
  const source = join(here, "../../test/fixtures/runtimes/brief.c");
  const product = join(prefix, "nffi");
  const libraries = [`-L${product}/lib`, "-lnffi", `-Wl,-rpath,${product}/lib`];
  execFileSync("cc", ["-O2", `-I${product}/include`, "-o", program, source, ...libraries]);
  const without = await measure(0);
  await nginx.stop();
  report(without, await measure(runtimes));
} finally {
  await nginx?.stop();
  rmSync(dir, { recursive: true, force: true });
}

/** Starts nginx and waits until every runtime of every worker has responded. */
async function measure(count) {
  rmSync(join(dir, "logs/error.log"), { force: true });
  const begin = performance.now();
  nginx = startNginx({ prefix, dir, conf: configuration(count) });
  const ready = () => {
    const log = join(dir, "logs/error.log");
    return existsSync(log) ? readFileSync(log, "utf8").split("worker is ready").length - 1 : 0;
  };
  for (let i = 0; ready() < workers; i++) {
    if (i > 1200) throw new Error(`${ready()} of ${workers} workers are ready after a minute`);
    await new Promise((done) => setTimeout(done, 50));
  }
  const time = performance.now() - begin;
  await new Promise((done) => setTimeout(done, 2000));
  return { time, ...look() };
}

/** Sums over the processes whose directory or program is ours. */
function look() {
  const sums = { processes: 0, descriptors: 0, nginx: 0, others: 0, shared: 0 };
  const queues = new Map();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const kind = kindOf(pid);
    if (kind === undefined) continue;
    const isWorker = kind === "worker";
    if (isWorker) sums.descriptors += readdirSync(`/proc/${pid}/fd`).length;
    else sums.processes++;
    sums[isWorker ? "nginx" : "others"] += privateBytesOf(pid);
    for (const fd of readdirSync(`/proc/${pid}/fd`)) queueOf(`/proc/${pid}/fd/${fd}`, queues);
  }
  for (const bytes of queues.values()) sums.shared += bytes;
  return sums;
}

function kindOf(pid) {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ");
    if (command.startsWith("nginx: worker")) return isOurs(pid) ? "worker" : undefined;
    const supervised = /^nffi-supervisor worker (\d+)/.exec(command);
    if (supervised) return isOurs(supervised[1]) ? "supervisor" : undefined;
    return command.startsWith(program) ? "runtime" : undefined;
  } catch {
    return undefined;
  }
}

function isOurs(worker) {
  const parent = readFileSync(`/proc/${worker}/stat`, "latin1")
    .replace(/^.*\) /s, "")
    .split(" ")[1];
  return Number(parent) === nginx.pid;
}

/** Adds the memory of a queue; its keeper has it open. */
function queueOf(path, queues) {
  try {
    if (!readlinkSync(path).startsWith("/memfd:nffi-queue")) return;
    const { ino, blocks } = statSync(path);
    queues.set(ino, blocks * 512);
  } catch {
    // closed since
  }
}

function report(without, all) {
  const n = workers * runtimes;
  const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  const each = (name, total, one) =>
    console.log(`${name.padEnd(34)}${total.padStart(12)}${one.padStart(14)}`);
  each(`${workers} workers, ${runtimes} runtimes each`, "all", "per runtime");
  each("shared memory, idle", mb(all.shared), mb(all.shared / n));
  each("private, process and its keeper", mb(all.others), mb(all.others / n));
  each(
    "private, more in the workers",
    mb(all.nginx - without.nginx),
    mb((all.nginx - without.nginx) / n),
  );
  const descriptors = all.descriptors - without.descriptors;
  each("descriptors of the workers", `${descriptors}`, (descriptors / n).toFixed(1));
  each("processes", `${all.processes}`, (all.processes / n).toFixed(1));
  const time = all.time - without.time;
  each(
    "time until all have responded",
    `${(time / 1000).toFixed(2)} s`,
    `${(time / n).toFixed(2)} ms`,
  );
}

function configuration(count) {
  return `
daemon off;
worker_processes ${workers};
worker_rlimit_nofile 4096;
${process.getuid() === 0 ? "user root;" : ""}
pid logs/nginx.pid;
error_log logs/error.log notice;
events { worker_connections 1024; }
http {
    init_worker_by_lua_block {
        local nffi = require "resty.nffi"
        ngx.timer.at(0, function()
            local runtimes = {}
            for i = 1, ${count} do
                runtimes[i] = assert(nffi.load("process", { program = "${program}", config = tostring(i) }))
            end
            for _, runtime in ipairs(runtimes) do
                assert(runtime:call("x", { timeout = 60000 }) == "x")
            end
            ngx.log(ngx.NOTICE, "worker is ready")
        end)
    }
    server { listen unix:${dir}/socket; }
}
`;
}

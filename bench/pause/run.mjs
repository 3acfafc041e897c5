// The longest pause of the event loop while a process is loaded and restarted, in a small worker
// and in one that has 1.5 GB. The two take turns.
//
//   node bench/pause/run.mjs PREFIX [ROUNDS] [MEGABYTES]
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../free-port.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const prefix = resolve(process.argv[2] ?? ".nffi/openresty");
const rounds = Number(process.argv[3] ?? 15);
const megabytes = Number(process.argv[4] ?? 1536);

const conf = (port, size) => `
daemon off; master_process off; pid nginx.pid; error_log error.log error;
events { worker_connections 64; }
http {
  access_log off;
  init_worker_by_lua_block {
    local ffi = require "ffi"
    ffi.cdef "void *mmap(void *a, size_t n, int p, int f, int fd, long o); int madvise(void *a, size_t n, int w);"
    local size = ${size} * 2 ^ 20
    if size > 0 then
      MEMORY = ffi.C.mmap(nil, size, 3, 0x22, -1, 0)
      ffi.C.madvise(MEMORY, size, 15) -- small pages, as a heap that has grown has them
      ffi.fill(MEMORY, size, 1)
    end
  }
  server {
    listen 127.0.0.1:${port};
    location / { content_by_lua_file pause.lua; }
    location = /alive { return 204; }
  }
}`;

async function start(dir, size) {
  const port = await freePort();
  mkdirSync(join(dir, "logs"), { recursive: true });
  copyFileSync(join(here, "pause.lua"), join(dir, "pause.lua"));
  writeFileSync(join(dir, "nginx.conf"), conf(port, size));
  const nginx = spawn(join(prefix, "nginx/sbin/nginx"), ["-p", dir, "-c", "nginx.conf"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const url = `http://127.0.0.1:${port}/`;
  for (let i = 0; i < 200; i++) {
    const answers = await fetch(`${url}alive`).then(
      () => true,
      () => false,
    );
    if (answers) break;
    await new Promise((done) => setTimeout(done, 50));
  }
  return { nginx, url };
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const cell = (value) => `${(value / 1000).toFixed(2)} ms`.padStart(12);

const dir = mkdtempSync(join(tmpdir(), "nffi-bench-"));
const workers = [];
try {
  const program = join(dir, "runtime");
  const lib = join(prefix, "nffi/lib");
  const echo = join(lib, "libnffi_echo.so");
  const { status, stderr } = spawnSync("cc", [
    ...["-O2", "-o", program, join(here, "runtime.c"), `-I${join(prefix, "nffi/include")}`],
    ...[`-L${lib}`, `-Wl,-rpath,${lib}`, "-lnffi"],
  ]);
  if (status !== 0) throw new Error(String(stderr));
  workers.push(await start(join(dir, "small"), 0), await start(join(dir, "large"), megabytes));
  const figures = workers.map(() => [[], [], []]);
  for (let round = 0; round < rounds; round++) {
    for (const [i, { url }] of workers.entries()) {
      const query = new URLSearchParams({ round: String(round), program, echo });
      const response = await fetch(`${url}?${query}`, { signal: AbortSignal.timeout(60_000) });
      const text = await response.text();
      if (response.status !== 200) throw new Error(text);
      for (const [j, value] of JSON.parse(text).entries()) figures[i][j].push(value);
    }
  }
  for (const [name, pick] of [
    ["median", median],
    ["longest", (values) => Math.max(...values)],
  ]) {
    console.log(`${name} of ${rounds} rounds: small worker, ${megabytes} MB, ratio`);
    for (const [j, row] of ["idle", "load", "restart"].entries()) {
      const [small, large] = figures.map((each) => pick(each[j]));
      const ratio = (large / small).toFixed(2);
      console.log(`  ${row.padEnd(8)}${cell(small)}${cell(large)}${ratio.padStart(8)}`);
    }
  }
} finally {
  for (const { nginx } of workers) nginx.kill("SIGKILL");
  rmSync(dir, { recursive: true, force: true });
}

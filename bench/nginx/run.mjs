// Calls from Lua in a real worker: a runtime of nffi against the same work behind a unix socket, one
// call after another, at 512 B and 100 KB, pinned to one CPU and on two.
//
//   node bench/nginx/run.mjs PREFIX [CALLS]
import { spawn, spawnSync } from "node:child_process";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const prefix = resolve(process.argv[2] ?? ".nffi/openresty");
const calls = Number(process.argv[3] ?? 20000);
const nginx = join(prefix, "nginx/sbin/nginx");
const library = join(prefix, "nffi/lib/libnffi_echo.so");
if (!existsSync(library)) {
  console.error(`no product of nffi in ${prefix}; name its prefix`);
  process.exit(2);
}

const dir = mkdtempSync(join(tmpdir(), "nffi-bench-"));
const children = [];
try {
  mkdirSync(join(dir, "logs"));
  for (const file of ["bench.lua", "echo.mjs"]) copyFileSync(join(here, file), join(dir, file));
  const compiled = spawnSync("cc", ["-O2", "-o", join(dir, "server"), join(here, "echo_server.c")]);
  if (compiled.status !== 0) throw new Error(String(compiled.stderr));
  const go = buildGo();
  for (const pinned of [true, false]) {
    for (const size of [512, 102400]) await compare(size, pinned, go);
  }
} finally {
  // TERM: a master that is killed leaves its worker
  for (const child of children) child.kill("SIGTERM");
  rmSync(dir, { recursive: true, force: true });
}

/** The Go library and program, or nothing where there is no Go. */
function buildGo() {
  if (spawnSync("go", ["version"]).status !== 0) return undefined;
  const cwd = join(dir, "go");
  cpSync(join(here, "go"), cwd, { recursive: true });
  const built = { library: join(dir, "libgo.so"), program: join(dir, "go-echo") };
  for (const args of [
    ["mod", "edit", `-replace=nffi=${prefix}/nffi/go`],
    ["build", "-buildmode=c-shared", "-o", built.library, "."],
    ["build", "-o", built.program, "."],
  ]) {
    const ran = spawnSync("go", args, { cwd });
    if (ran.status !== 0) throw new Error(String(ran.stderr));
  }
  return built;
}

async function compare(size, pinned, go) {
  const port = await freePort();
  const stop = await startAll(size, pinned, port, go);
  const ask = async (query) => {
    const reply = await fetch(`http://127.0.0.1:${port}/?size=${size}&${query}`);
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${query}: ${readFileSync(join(dir, "logs/error.log"))}`);
    return Number(text);
  };
  const count = `count=${size > 10000 ? calls / 4 : calls}`;
  const affinity = pinned ? "inherit" : "all";
  const rows = {
    "C library": await ask(`library=${library}&${count}`),
    "C behind a socket": await ask(`socket=${dir}/c.sock&${count}`),
    ...(go && {
      "Go library": await ask(`library=${go.library}&${count}`),
      "Go library, inline": await ask(`library=${go.library}&method=inline&${count}`),
      "Go behind a socket": await ask(`socket=${dir}/go.sock&${count}`),
    }),
    "Node process": await ask(`module=echo.mjs&affinity=${affinity}&${count}`),
    "Node behind a socket": await ask(`socket=${dir}/node.sock&${count}`),
  };
  await stop();
  console.log(`${size} B, ${pinned ? "one CPU" : "two CPUs"}`);
  for (const [name, rate] of Object.entries(rows)) {
    console.log(`  ${name.padEnd(22)} ${(1e6 / rate).toFixed(1).padStart(7)} us a call`);
  }
  const ratio = (a, b) => (rows[a] / rows[b]).toFixed(1);
  console.log(`  nffi is ${ratio("C library", "C behind a socket")} times as fast in C`);
  if (go) {
    console.log(`  nffi is ${ratio("Go library", "Go behind a socket")} times as fast in Go`);
    console.log(`  nffi is ${ratio("Go library, inline", "Go behind a socket")} times, inline`);
  }
  console.log(`  nffi is ${ratio("Node process", "Node behind a socket")} times as fast in Node`);
}

async function startAll(size, pinned, port, go) {
  writeFileSync(join(dir, "nginx.conf"), configuration(pinned, port));
  const run = (program, args) => {
    const pin = pinned ? ["taskset", "-c", "0"] : ["env"];
    const child = spawn(pin[0], [...pin.slice(1), program, ...args], { stdio: "inherit" });
    children.push(child);
    return child;
  };
  for (const name of ["c.sock", "go.sock", "node.sock"]) rmSync(join(dir, name), { force: true });
  const started = [
    run(join(dir, "server"), [join(dir, "c.sock"), String(size)]),
    ...(go ? [run(go.program, [join(dir, "go.sock"), String(size)])] : []),
    run(process.execPath, [join(dir, "echo.mjs"), join(dir, "node.sock"), String(size)]),
    run(nginx, ["-p", dir, "-c", join(dir, "nginx.conf")]),
  ];
  await ready(port, go ? ["c.sock", "go.sock", "node.sock"] : ["c.sock", "node.sock"]);
  return async () => {
    for (const child of started) {
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      await ended;
    }
  };
}

async function ready(port, sockets) {
  for (let i = 0; i < 200; i++) {
    const up = await fetch(`http://127.0.0.1:${port}/ready`).catch(() => undefined);
    if (up?.ok && sockets.every((name) => existsSync(join(dir, name)))) return;
    await new Promise((done) => setTimeout(done, 25));
  }
  throw new Error("nginx or a server does not start");
}

function freePort() {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

function configuration(pinned, port) {
  return `
daemon off;
worker_processes 1;
${process.getuid() === 0 ? "user root;" : ""}
${pinned ? "worker_cpu_affinity 0001;" : ""}
pid logs/nginx.pid;
error_log logs/error.log warn;
events { worker_connections 256; }
http {
    access_log off;
    lua_package_path "${dir}/?.lua;;";
    lua_socket_buffer_size 128k;
    server {
        listen 127.0.0.1:${port};
        location = /ready { return 204; }
        location = / { content_by_lua_block { ngx.say(require("bench").run(ngx.req.get_uri_args())) } }
    }
}
`;
}

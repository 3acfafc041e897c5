// An nginx with one worker that runs bench.lua, and what stands beside it; for run.mjs and
// languages.mjs.
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../free-port.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const children = new Set();

/**
 * Starts nginx of PREFIX in the folder dir, and programs: [path, ...arguments] that listen on the
 * unix sockets sockets. pinned: all of them share one CPU. Returns { ask(query), stop() }; ask() is
 * what bench.lua measures, in calls a second.
 */
export async function startWorker({ prefix, dir, pinned, programs = [], sockets = [] }) {
  const port = await freePort();
  mkdirSync(join(dir, "logs"), { recursive: true });
  copyFileSync(join(here, "bench.lua"), join(dir, "bench.lua"));
  writeFileSync(join(dir, "nginx.conf"), configuration(dir, pinned, port));
  for (const socket of sockets) rmSync(socket, { force: true });
  const nginx = [join(prefix, "nginx/sbin/nginx"), "-p", dir, "-c", join(dir, "nginx.conf")];
  const started = [...programs, nginx].map((command) => {
    const pin = pinned ? ["taskset", "-c", "0"] : ["env"];
    const child = spawn(pin[0], [...pin.slice(1), ...command], { stdio: "inherit" });
    children.add(child);
    return child;
  });
  await ready(port, sockets);
  return {
    async ask(query) {
      const reply = await fetch(`http://127.0.0.1:${port}/?${new URLSearchParams(query)}`);
      const text = await reply.text();
      if (!reply.ok) throw new Error(readFileSync(join(dir, "logs/error.log"), "utf8"));
      return Number(text);
    },
    async stop() {
      for (const child of started) {
        const ended = new Promise((done) => child.once("exit", done));
        child.kill("SIGTERM");
        await ended;
        children.delete(child);
      }
    },
  };
}

/** For the end of a program that failed: TERM, since a master that is killed leaves its worker. */
export function stopAll() {
  for (const child of children) child.kill("SIGTERM");
}

async function ready(port, sockets) {
  for (let i = 0; i < 200; i++) {
    const up = await fetch(`http://127.0.0.1:${port}/ready`).catch(() => undefined);
    if (up?.ok && sockets.every((socket) => existsSync(socket))) return;
    await new Promise((done) => setTimeout(done, 25));
  }
  throw new Error("nginx or a server does not start");
}

function configuration(dir, pinned, port) {
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

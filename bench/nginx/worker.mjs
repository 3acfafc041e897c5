// An nginx with one worker that runs bench.lua.
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../free-port.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const children = new Set();

/**
 * Starts the nginx of PREFIX in the directory dir. pinned: it runs on one CPU. Returns
 * { ask(query), stop() }; ask() returns what bench.lua measures, in calls per second.
 */
export async function startWorker({ prefix, dir, pinned }) {
  const port = await freePort();
  mkdirSync(join(dir, "logs"), { recursive: true });
  copyFileSync(join(here, "bench.lua"), join(dir, "bench.lua"));
  writeFileSync(join(dir, "nginx.conf"), configuration(dir, pinned, port));
  const nginx = [join(prefix, "nginx/sbin/nginx"), "-p", dir, "-c", join(dir, "nginx.conf")];
  const [program, ...args] = [...(pinned ? ["taskset", "-c", "0"] : []), ...nginx];
  const child = spawn(program, args, { stdio: "inherit" });
  children.add(child);
  await ready(port);
  return {
    async ask(query) {
      const reply = await fetch(`http://127.0.0.1:${port}/?${new URLSearchParams(query)}`);
      const text = await reply.text();
      if (!reply.ok) throw new Error(readFileSync(join(dir, "logs/error.log"), "utf8"));
      return Number(text);
    },
    async stop() {
      const ended = new Promise((done) => child.once("exit", done));
      child.kill("SIGTERM");
      await ended;
      children.delete(child);
    },
  };
}

/** For the end of a program that failed: TERM, since a master that is killed leaves its worker. */
export function stopAll() {
  for (const child of children) child.kill("SIGTERM");
}

async function ready(port) {
  for (let i = 0; i < 200; i++) {
    const up = await fetch(`http://127.0.0.1:${port}/ready`).catch(() => undefined);
    if (up?.ok) return;
    await new Promise((done) => setTimeout(done, 25));
  }
  throw new Error("nginx did not start within 5 s");
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
    server {
        listen 127.0.0.1:${port};
        location = /ready { return 204; }
        location = / { content_by_lua_block { ngx.say(require("bench").run(ngx.req.get_uri_args())) } }
    }
}
`;
}

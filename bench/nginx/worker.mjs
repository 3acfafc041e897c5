// An nginx with one worker that runs bench.lua.
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../free-port.mjs";
import { startNginx } from "../product.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const running = new Set();

/**
 * Starts the nginx of PREFIX in the directory dir. pinned: it runs on one CPU. Returns
 * { ask(query), stop() }; ask() returns what bench.lua measures, in calls per second.
 */
export async function startWorker({ prefix, dir, pinned }) {
  const port = await freePort();
  mkdirSync(dir, { recursive: true });
  copyFileSync(join(here, "bench.lua"), join(dir, "bench.lua"));
  const before = pinned ? ["taskset", "-c", "0"] : [];
  const nginx = startNginx({ prefix, dir, conf: configuration(dir, pinned, port), before });
  running.add(nginx);
  await ready(port);
  return {
    async ask(query) {
      const response = await fetch(`http://127.0.0.1:${port}/?${new URLSearchParams(query)}`);
      const text = await response.text();
      if (!response.ok) throw new Error(readFileSync(join(dir, "logs/error.log"), "utf8"));
      return Number(text);
    },
    async stop() {
      running.delete(nginx);
      await nginx.stop();
    },
  };
}

/** For the end of a program that failed. */
export function stopAll() {
  for (const nginx of running) nginx.stop();
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

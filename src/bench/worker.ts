/** An nginx with one worker that runs compare.lua, and the servers beside it. */
import { chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { NffiError } from "../errors.js";
import { type Environment, wholeEnvironment } from "../host/environment.js";
import { isRoot } from "../host/user.js";
import { type RunningProgram, start } from "../io/exec.js";
import { exists } from "../io/files.js";
import { getLocal } from "../io/http.js";
import { freePort } from "../io/port.js";
import type { Server } from "./subject.js";
import { familyOf } from "./usage.js";

/** An nginx that takes part, and where its Lua finds what is measured. */
export interface Host {
  readonly nginx: string;
  readonly modules: readonly string[];
  /** Directories of Lua modules. */
  readonly luaFolders: readonly string[];
  /** Variables that it and its workers have in addition. */
  readonly variables?: Readonly<Record<string, string>>;
}

export interface WorkerWish extends Host {
  /** It is to have the thread pool of run_worker_thread. */
  readonly hasThreads: boolean;
  readonly folder: string;
  readonly sources: string;
  /** With it all processes share one CPU. */
  readonly taskset: string | undefined;
  readonly servers: readonly Server[];
  readonly env: Environment;
  readonly signal: AbortSignal;
}

export interface Worker {
  /** The body of a response of the worker. */
  ask(path: string, query: Readonly<Record<string, string>>): Promise<string>;
  /** nginx, the processes of the runtimes that are loaded, and the servers. */
  processes(): Promise<number[]>;
  /** The processes of runtimes, with the modules that they run. */
  runtimes(): Promise<(readonly [number, string])[]>;
  pidOf(server: Server): number | undefined;
  stop(): Promise<void>;
}

const PATIENCE_MS = 30_000;

export async function startWorker(wish: WorkerWish): Promise<Worker> {
  const { nginx, folder, signal } = wish;
  const port = await freePort();
  await mkdir(join(folder, "temp"), { recursive: true });
  await chmod(folder, 0o755);
  const conf = join(folder, "nginx.conf");
  const log = join(folder, "error.log");
  await writeFile(conf, configuration(wish, port));
  const commands: (readonly [string, ...string[]])[] = [
    ...wish.servers.map((server) => server.command),
    [nginx, "-p", `${folder}/`, "-c", conf, "-e", log],
  ];
  const sockets = wish.servers.flatMap((server) => server.sockets);
  // of servers that were stopped before
  await Promise.all(sockets.map((socket) => rm(socket, { force: true })));
  const running = await Promise.all(commands.map((command) => launch(command, wish, log)));
  const stop = async () => {
    await Promise.all(running.map((program) => program.stop()));
  };
  try {
    await ready({ port, sockets, running, log, signal });
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  const runtimes = async () => JSON.parse(await ask(port, "/processes", {}, { log, signal }));
  return {
    ask: (path, query) => ask(port, path, query, { log, signal }),
    runtimes,
    processes: async () => {
      const started = running.map(({ pid }) => pid).filter((pid) => pid !== undefined);
      const families = await Promise.all(started.map(familyOf));
      const own: [number, string][] = await runtimes();
      return [...new Set([...families.flat(), ...own.map(([pid]) => pid)])];
    },
    pidOf: (server) => running[wish.servers.indexOf(server)]?.pid,
    stop,
  };
}

function launch(
  command: readonly [string, ...string[]],
  { taskset, folder, env, variables }: WorkerWish,
  log: string,
): Promise<RunningProgram> {
  const [program, ...args] = taskset ? [taskset, "-c", "0", ...command] : command;
  return start(
    { program, args, cwd: folder, env: { ...wholeEnvironment(env), ...variables } },
    log,
  );
}

interface Start {
  readonly port: number;
  readonly sockets: readonly string[];
  readonly running: readonly RunningProgram[];
  readonly log: string;
  readonly signal: AbortSignal;
}

async function ready({ port, sockets, running, log, signal }: Start): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    signal.throwIfAborted();
    const url = `http://127.0.0.1:${port}/ready`;
    const response = await getLocal(url, { timeoutMs: PATIENCE_MS }).catch(() => undefined);
    const present = await Promise.all(sockets.map(exists));
    if (response?.status === 204 && present.every(Boolean)) return;
    const end = running.map((program) => program.ended()).find((one) => one !== undefined);
    if (end !== undefined) throw await failure(`nginx or a server has ended (${end})`, log);
    if (Date.now() > deadline) throw await failure("nginx or a server does not start", log);
    await sleep(25);
  }
}

async function ask(
  port: number,
  path: string,
  query: Readonly<Record<string, string>>,
  { log, signal }: { log: string; signal: AbortSignal },
): Promise<string> {
  const url = `http://127.0.0.1:${port}${path}?${new URLSearchParams(query)}`;
  const response = await getLocal(url, { timeoutMs: 120_000, signal }).catch(async (thrown) => {
    signal.throwIfAborted();
    throw await failure(`nginx does not answer: ${(thrown as Error).message}`, log);
  });
  if (response.status === 200) return response.text;
  throw await failure(`the measurement was answered with ${response.status}`, log);
}

async function failure(message: string, log: string): Promise<NffiError> {
  const text = await readFile(log, "utf8").catch(() => "");
  const lines = text.trimEnd().split("\n");
  // the first error explains the later ones
  const first = lines.findIndex((line) => /\[(error|crit|alert|emerg)\]/.test(line));
  const shown = (first < 0 ? lines.slice(-15) : lines.slice(first, first + 15)).join("\n");
  return new NffiError("bench-failed", message, { hint: shown && `the error log:\n${shown}` });
}

function configuration(wish: WorkerWish, port: number): string {
  const { luaFolders, sources, servers, modules, hasThreads, variables = {} } = wish;
  const luaPath = [sources, ...luaFolders].map((folder) => `${folder}/?.lua;`).join("");
  const proxied = servers
    .flatMap((server) => server.sockets)
    .filter((socket) => socket.endsWith("-http.sock"))
    .map((socket) => {
      const name = socket.slice(socket.lastIndexOf("/") + 1, -".sock".length);
      return { name, socket };
    });
  const upstreams = proxied.map(
    ({ name, socket }) => `upstream ${name} { server unix:${socket}; keepalive 64; }`,
  );
  return `
daemon off;
${isRoot() ? "user root;" : ""}
worker_processes 1;
pid nginx.pid;
error_log error.log warn;
${modules.map((module) => `load_module ${module};`).join("\n")}
${Object.keys(variables)
  .map((name) => `env ${name};`)
  .join("\n")}
${hasThreads ? "thread_pool bench threads=4;" : ""}
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    client_body_buffer_size 32m;
    client_max_body_size 32m;
    lua_package_path "${luaPath};";
    lua_socket_buffer_size 128k;
    ${hasThreads ? "lua_worker_thread_vm_pool_size 1024;" : ""}
    ${upstreams.join("\n    ")}
    server {
        listen 127.0.0.1:${port};
        location = /ready { return 204; }
        location = /measure {
            content_by_lua_block { ngx.say(require("compare").run(ngx.req.get_uri_args())) }
        }
        location = /processes {
            content_by_lua_block { ngx.say(require("compare").processes()) }
        }
        ${proxied.map(({ name }) => proxyLocation(name)).join("")}
    }
}
`;
}

function proxyLocation(name: string): string {
  return `
        location = /proxy/${name} {
            internal;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffers 8 1m;
            proxy_buffer_size 1m;
            proxy_busy_buffers_size 2m;
            proxy_pass http://${name};
        }`;
}

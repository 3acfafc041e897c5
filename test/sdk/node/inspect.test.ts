// Looking into a Node process under nginx: the inspector of each worker, and profiles by signal.
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { WebSocket } from "undici";
import { beforeAll, expect, test } from "vitest";
import { content } from "../../support/lua.js";
import { startNginxForTest, until, withNginx } from "../../support/nginx.js";
import { anySuite, builtOpenresty } from "../../support/openresty.js";

const MODULE = `
export const pid = () => process.pid;
const computesPrimes = (ms: number) => {
  let found = 0;
  for (const end = Date.now() + ms; Date.now() < end; found++) Math.sqrt(found);
  return found > 0;
};
export const primes = (ms: number) => computesPrimes(ms);
`;

let prefix: string;

beforeAll(async () => {
  prefix = await builtOpenresty(anySuite);
});

/** The first of several consecutive free ports, below the kernel's ephemeral ports. */
async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 10_000);
    const servers = await Promise.allSettled(
      Array.from({ length: count }, (_, at) => listening(first + at)),
    );
    for (const server of servers) if (server.status === "fulfilled") server.value.close();
    if (servers.every(({ status }) => status === "fulfilled")) return first;
  }
}

function listening(port: number) {
  const server = createServer();
  return new Promise<typeof server>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}

/** Evaluates an expression in the debugged process. */
async function evaluate(url: string, expression: string): Promise<unknown> {
  const socket = new WebSocket(url);
  try {
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    socket.send(JSON.stringify({ id: 1, method: "Runtime.evaluate", params: { expression } }));
    const text = await new Promise<string>((resolve) => {
      socket.onmessage = ({ data }) => resolve(String(data));
    });
    return JSON.parse(text).result.result.value;
  } finally {
    socket.close();
  }
}

const load = (options: string) =>
  `require("resty.nffi").load("node", { module = "main.ts", ${options} })`;

test("each process of each worker has a separate port, which the log names", async () => {
  const first = await freePorts(4);
  const http = `init_worker_by_lua_block { assert(${load(`inspect = ${first}, processes = 2`)}) }`;
  const server = "location = /plain { return 200 plain; }";
  const options = { prefix, files: { "main.ts": MODULE }, http, server, workers: 2 };
  await withNginx(options, async (nginx) => {
    const urls = () =>
      [...nginx.errorLog().matchAll(/\[notice\] .*the inspector listens on (ws:\S+)/g)].map(
        ([, url = ""]) => url,
      );
    await until(
      () => urls().length === 4,
      15_000,
      () => `not four:\n${nginx.errorLog()}`,
    );
    expect(
      urls()
        .map((url) => Number(new URL(url).port))
        .sort(),
    ).toEqual([0, 1, 2, 3].map((at) => first + at));
    expect(urls().every((url) => url.startsWith("ws://127.0.0.1:"))).toBe(true);
    const pids = await Promise.all(urls().map((url) => evaluate(url, "process.pid")));
    const family = nginx.family().map(({ pid }) => pid);
    expect(new Set(pids).size).toBe(4);
    expect(family).toEqual(expect.arrayContaining(pids));
  });
});

test("a debugger that stays does not keep nginx from ending", async () => {
  const server = content("= /pid", `ngx.say(assert(${load("inspect = 0")}).methods:pid())`);
  const nginx = await startNginxForTest({ prefix, files: { "main.ts": MODULE }, server });
  await nginx.get("/pid");
  const [, url = ""] = /the inspector listens on (ws:\S+)/.exec(nginx.errorLog()) ?? [];
  const socket = new WebSocket(url);
  await new Promise((resolve) => {
    socket.onopen = resolve;
  });
  await nginx.stop({ signal: "SIGQUIT", timeoutMs: 10_000 });
});

test("signals write a CPU profile and a heap snapshot of the process that metrics names", async () => {
  const runtime = `local rt = assert(${load('profile_dir = "profiles"')})`;
  const server = `${content("= /primes", `${runtime} ngx.say(show(rt.methods:primes(200)))`)}
    ${content("= /pid", `ngx.say(nffi.metrics().runtimes[1].processes[1].pid)`)}`;
  const options = { prefix, files: { "main.ts": MODULE }, server };
  await withNginx({ ...options, main: "user nobody nogroup;" }, async (nginx) => {
    expect(await nginx.get("/primes")).toMatch(
      /^nil\|.*profile_dir \/.*\/profiles: user \d+ may not write there/,
    );
  });
  await withNginx({ ...options, main: "user root;" }, async (nginx) => {
    expect(await nginx.get("/primes")).toBe("true\n");
    const pid = Number(await nginx.get("/pid"));

    process.kill(pid, "SIGUSR2");
    await nginx.waitForLog("a CPU profile was begun");
    await nginx.get("/primes");
    process.kill(pid, "SIGUSR2");
    const [, cpu = ""] =
      /written: (\S+\.cpuprofile)/.exec(await nginx.waitForLog(".cpuprofile")) ?? [];
    const { nodes } = JSON.parse(readFileSync(cpu, "utf8"));
    const frames = nodes.map(({ callFrame }: { callFrame: object }) => callFrame);
    expect(frames).toContainEqual(
      expect.objectContaining({
        functionName: expect.stringMatching(/^(primes|computesPrimes)$/),
        url: `file://${nginx.dir}/main.ts`,
      }),
    );

    process.kill(pid, "SIGHUP");
    const [, heap = ""] =
      /written: (\S+\.heapsnapshot)/.exec(await nginx.waitForLog(".heapsnapshot")) ?? [];
    expect(JSON.parse(readFileSync(heap, "utf8")).strings).toContain("computesPrimes");
    expect(readdirSync(join(nginx.dir, "profiles"))).toHaveLength(2);
    expect(await nginx.get("/primes")).toBe("true\n");
  });
});

test("bad options are refused", async () => {
  const server = content(
    "= /",
    `local _, port = pcall(nffi.load, "node", { module = "main.ts", inspect = "yes" })
     local _, folder = pcall(nffi.load, "node", { module = "main.ts", profile_dir = "" })
     local _, last = pcall(nffi.load, "node", { module = "main.ts", inspect = 65535, processes = 2 })
     local round = {}
     round.own = { round }
     local _, endless = pcall(nffi.load, "node", { module = "main.ts", config = round })
     ngx.say(port, "|", folder, "|", last, "|", endless)`,
  );
  await withNginx({ prefix, files: { "main.ts": MODULE }, server }, async (nginx) => {
    expect(await nginx.get("/")).toMatch(
      /inspect must be true or a port, got yes\|.*profile_dir must be a path, got an empty string\|.*inspect = 65535 leaves too few ports .*\|.*cannot encode config: config\.own\[1\]\.own.* is nested deeper than 1000 levels, or contains itself/,
    );
  });
});

// How runtimes that are processes are hosted: several for one runtime, their limits, user,
// priority, environment and health, and what a process inherits of its worker.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { getPriority } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { content } from "../support/lua.js";
import { nativeProgram } from "../support/native-runtime.js";
import { type Nginx, type NginxOptions, startNginx, until, withNginx } from "../support/nginx.js";
import { anySuite, builtOpenresty } from "../support/openresty.js";
import { childrenOf, runtimesOf, statOf, supervisorsOf } from "../support/processes.js";
import { temporaryFolder } from "../support/temporary.js";

const MODULE = `
import { spawn } from "node:child_process";
import { appendFileSync, readFileSync } from "node:fs";
const later = (ms: number) => new Promise((done) => setTimeout(done, ms));
export const pid = () => process.pid;
export const busy = (ms: number) => { const end = Date.now() + ms; while (Date.now() < end); return process.pid; };
export const slow = async (ms: number) => { await later(ms); return process.pid; };
export const spin = () => { for (;;); };
export const whole = () => ({ env: process.env, cwd: process.cwd(), uid: process.getuid!(), gid: process.getgid!(), groups: process.getgroups!() });
export const status = () => readFileSync("/proc/self/status", "utf8") + readFileSync("/proc/self/limits", "utf8");
export const nice = () => Number(readFileSync("/proc/self/stat", "utf8").replace(/^.*\\)/s, "").split(" ")[17]);
export const grow = () => { const kept = []; for (;;) kept.push(Buffer.alloc(16 << 20, 1)); };
export const daemon = () => new Promise<number>((done) => {
  const child = spawn("/bin/sh", ["-c", "setsid sh -c 'setsid sleep 60 & echo $!'"], { detached: true });
  child.stdout.once("data", (text) => done(Number(text)));
});
export const once = async (file: string) => { appendFileSync(file, "x"); await later(60_000); };
`;

/** GET /<name>?m=method&v=value: a call of the runtime with these options. */
function location(name: string, options: string): string {
  return content(
    `= /${name}`,
    `local rt, err, code = nffi.load("node", { module = "module.ts", ${options} })
     if not rt then ngx.say(show(err, code)) return end
     local v = ngx.var.arg_v
     local reply, message, code = rt.methods[ngx.var.arg_m](rt.methods, tonumber(v) or v)
     ngx.say(reply and require("cjson").encode(reply) or show(reply, message, code))`,
  );
}

/** GET /<name>: the result of load() with a program that is no runtime. */
function shell(name: string, script: string, more = ""): string {
  return content(
    `= /${name}`,
    `local rt, err, code = nffi.load("node", { module = "module.ts", program = "/bin/sh",
         node_args = { "-c", [[${script}]] }, start_timeout = 2000, ${more} })
     ngx.say(rt and select(2, rt.methods:pid()) or show(err, code))`,
  );
}

const options = (more: NginxOptions): NginxOptions => ({ files: { "module.ts": MODULE }, ...more });

const call = (nginx: Nginx, name: string, method: string, value: string | number = "") =>
  nginx.get(`/${name}?m=${method}&v=${value}`);

async function pidsOf(nginx: Nginx, name: string, count: number): Promise<number[]> {
  const pids = new Set<number>();
  await until(
    async () => {
      pids.add(Number(await call(nginx, name, "pid")));
      return pids.size === count;
    },
    15_000,
    () => `${pids.size} processes answer instead of ${count}`,
  );
  return [...pids];
}

describe("several processes of one runtime", () => {
  let nginx: Nginx;
  let prefix: string;

  beforeAll(async () => {
    prefix = await builtOpenresty(anySuite);
    const server = ["a", "b", "c"].map((name) =>
      location(name, `processes = 3, config = "${name}"`),
    );
    const state = content(
      "= /processes",
      `for _, runtime in ipairs(nffi.metrics().runtimes) do
           for _, process in ipairs(runtime.processes) do
               ngx.say(process.pid, " ", process.state, " ", process.restarts)
           end
       end`,
    );
    nginx = await startNginx(options({ prefix, server: [...server, state].join("\n") }));
  });

  afterAll(async () => {
    await nginx?.stop();
  });

  test("calls go to the one with the fewest in flight", async () => {
    const pids = await pidsOf(nginx, "a", 3);
    // three concurrent calls, each in a separate process
    const busy = await Promise.all([300, 300, 300].map((ms) => call(nginx, "a", "busy", ms)));
    expect(busy.map(Number).sort()).toEqual(pids.sort());
    // a stuck process does not delay the others
    const stuck = call(nginx, "a", "busy", 1500);
    const begin = Date.now();
    await new Promise((done) => setTimeout(done, 50));
    const others: string[] = [];
    for (let i = 0; i < 12; i++) others.push(await call(nginx, "a", "pid"));
    expect(Date.now() - begin).toBeLessThan(1200);
    const stuckPid = Number(await stuck);
    expect(others.map(Number)).not.toContain(stuckPid);
    expect(new Set(others).size).toBe(2);
  });

  test("the death of one fails its calls only, and it comes back", async () => {
    const pids = await pidsOf(nginx, "b", 3);
    const calls = Array.from({ length: 9 }, () => call(nginx, "b", "slow", 1500));
    await new Promise((done) => setTimeout(done, 300));
    const victim = pids[1] ?? 0;
    process.kill(victim, "SIGKILL");
    await until(
      async () => !(await nginx.get("/processes")).includes(`${victim} ready`),
      5_000,
      () => "its death is not noticed",
    );
    // immediately, whether it is down or starting
    const begin = Date.now();
    const more = await Promise.all(Array.from({ length: 6 }, () => call(nginx, "b", "pid")));
    expect(Date.now() - begin).toBeLessThan(1000);
    expect(more.filter((reply) => reply.includes("nil"))).toEqual([]);
    const replies = await Promise.all(calls);
    const failed = replies.filter((reply) => reply.startsWith("nil"));
    expect(failed.length).toBe(3);
    expect(failed[0]).toMatch(new RegExp(`its process ${victim} ended.*runtime_down`));
    const answered = replies.filter((reply) => !reply.startsWith("nil")).map(Number);
    expect(answered.length).toBe(6);
    expect(answered).not.toContain(victim);
    expect((await pidsOf(nginx, "b", 3)).filter((pid) => pids.includes(pid)).length).toBe(2);
    expect(await nginx.get("/processes")).toMatch(/^\d+ ready 1$/m);
  });

  test("all of them can die together without a zombie, and restart", async () => {
    const pids = await pidsOf(nginx, "c", 3);
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await until(
      async () => (await call(nginx, "c", "pid")).includes("is down"),
      5_000,
      () => "a call is answered by nobody",
    );
    const fresh = await pidsOf(nginx, "c", 3);
    expect(fresh.filter((pid) => pids.includes(pid))).toEqual([]);
    const [worker = 0] = nginx.workers();
    for (const pid of pids) expect(statOf(pid)?.parent === worker).toBe(false);
  });
});

describe("what a process gets", () => {
  let nginx: Nginx;
  let prefix: string;

  beforeAll(async () => {
    prefix = await builtOpenresty(anySuite);
    const server = [
      location("plain", ""),
      location("env", `env = { GREETING = "a=b c", PATH = "/bin" }, directory = "logs"`),
      location("limits", `limits = { files = 200, core = 0, cpu = 1000, memory = 2 ^ 36 }`),
      location("small", `limits = { memory = 600 * 2 ^ 20 }`),
      location("short", `limits = { cpu = 1 }`),
      location("polite", `nice = 17`),
      location("nobody", `user = "nobody", nice = -2`),
      location("ghost", `user = "no-such-user"`),
      location("narrow", `affinity = "inherit"`),
      location("nowhere", `directory = "/nowhere"`),
      location("greedy", `limits = { files = 2 ^ 40 }`),
      shell("inherits", "grep ^Sig /proc/self/status >&2; ls -l /proc/self/fd >&2; exit 1"),
    ];
    nginx = await startNginx(
      options({
        prefix,
        server: server.join("\n"),
        // only a worker of root may change the user
        main: "user root; worker_cpu_affinity 01; env LEAK=me;",
      }),
    );
  });

  afterAll(async () => {
    await nginx?.stop();
  });

  const whole = async (name: string) =>
    JSON.parse(await call(nginx, name, "whole")) as {
      env: Record<string, string>;
      cwd: string;
      uid: number;
      gid: number;
      groups: number[];
    };

  test("the environment is what was asked for, and nothing of nginx's", async () => {
    expect((await whole("env")).env).toEqual({ GREETING: "a=b c", PATH: "/bin" });
    expect(Object.keys((await whole("plain")).env)).toEqual(["PATH"]);
  });

  test("the working folder, absolute or nginx's own", async () => {
    expect((await whole("env")).cwd).toBe(`${nginx.dir}/logs`);
    expect(await call(nginx, "nowhere", "pid")).toMatch(
      /cannot be started: chdir\("\/nowhere"\) as user "root" failed \(2: No such file or directory\)\|load_failed/,
    );
  });

  test("limits apply to the process", async () => {
    const limits = JSON.parse(await call(nginx, "limits", "status")) as string;
    expect(limits).toMatch(/Max open files +200 +200 /);
    expect(limits).toMatch(/Max core file size +0 +0 /);
    expect(limits).toMatch(/Max cpu time +1000 +1000 /);
    expect(limits).toMatch(/Max data size +68719476736 +68719476736 /);
    expect(await call(nginx, "greedy", "pid")).toMatch(
      /setrlimit\(.*\) as user "root" failed \(1: Operation not permitted\)\|load_failed/,
    );
  });

  test("one that exceeds its memory fails alone", async () => {
    expect(await call(nginx, "small", "grow")).toMatch(/^nil\|.*\|(runtime_down|runtime_error)$/m);
    await until(
      async () => Number(await call(nginx, "small", "pid")) > 0,
      10_000,
      () => "it does not come back",
    );
  });

  test("one that exceeds its CPU time is ended by the kernel", async () => {
    expect(await call(nginx, "short", "spin")).toMatch(/is down: its process \d+ ended/);
  });

  test("nice, upwards and for root downwards", async () => {
    expect(await call(nginx, "plain", "nice")).toBe(`${getPriority(nginx.workers()[0])}\n`);
    expect(await call(nginx, "polite", "nice")).toBe("17\n");
    expect(await call(nginx, "nobody", "nice")).toBe("-2\n");
  });

  test("a worker of root runs it as another user, with that user's groups", async () => {
    const id = (flag: string) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }));
    const { uid, gid, groups } = await whole("nobody");
    expect({ uid, gid, groups }).toEqual({ uid: id("-u"), gid: id("-g"), groups: [id("-g")] });
    expect(await call(nginx, "ghost", "pid")).toMatch(/there is no user "no-such-user"\|load_fail/);
  });

  test("user and a negative nice are refused unless the worker is root", async () => {
    const server = [
      location("user", `user = "daemon"`),
      location("negative", `nice = -1`),
      location("positive", `nice = 19`),
    ].join("\n");
    const main = "user nobody nogroup;";
    await withNginx(options({ prefix, server, main }), async (own) => {
      expect(await call(own, "user", "pid")).toBe(
        `the option user of a runtime requires a worker that runs as root, this one runs as "nobody"|not_permitted\n`,
      );
      expect(await call(own, "negative", "pid")).toMatch(
        /^a negative nice .*"nobody"\|not_permitted$/m,
      );
      expect(await call(own, "positive", "nice")).toBe("19\n");
    });
  });

  test("all CPUs, or with affinity = inherit those of the worker", async () => {
    const cpus = async (name: string) =>
      /Cpus_allowed:\s+(\S+)/.exec(JSON.parse(await call(nginx, name, "status")) as string)?.[1];
    const all = /Cpus_allowed:\s+(\S+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    expect(Number.parseInt(`${await cpus("narrow")}`, 16)).toBe(1);
    expect(await cpus("plain")).toBe(all);
  });

  test("a separate session: a signal to nginx's group does not reach it", async () => {
    const pid = Number(await call(nginx, "plain", "pid"));
    const session = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ")[3];
    expect(Number(session)).toBe(pid);
    for (const signal of ["SIGINT", "SIGTERM", "SIGQUIT"] as const) process.kill(pid, signal);
    expect(Number(await call(nginx, "plain", "pid"))).toBe(pid);
  });

  test("no signal blocked or ignored, and no descriptor but its own", async () => {
    expect(await nginx.get("/inherits")).toMatch(/is down/);
    const log = await nginx.waitForLog(/\[module\.ts\] .*6 -> /);
    const lines = [...log.matchAll(/\[module\.ts\] ?(.*)/g)].map((match) => match[1] ?? "");
    for (const kind of ["SigBlk", "SigIgn"]) {
      expect(lines.find((line) => line.startsWith(kind))).toMatch(/\b0{16}$/);
    }
    // in an earlier test V8 runs out of memory, and it also writes arrows: "(582.1) -> 579.5 MB"
    const links = lines.filter((line) => /\d -> /.test(line));
    // 0 to 6, and the folder that ls reads; of sockets the control socket only
    expect(links.map((line) => /(\d+) -> /.exec(line)?.[1])).toEqual([
      ...["0", "1", "2", "3", "4", "5", "6", "7"],
    ]);
    expect(links.filter((line) => line.includes("socket:")).length).toBe(1);
  });
});

describe("the life of a hosted process", () => {
  let prefix: string;

  beforeAll(async () => {
    prefix = await builtOpenresty(anySuite);
  });

  test("one that hangs is killed by its health check; one that is only slow is not", async () => {
    const server = location("checked", `health = { interval = 50, timeout = 600 }`);
    await withNginx(options({ prefix, server }), async (nginx) => {
      const pid = Number(await call(nginx, "checked", "pid"));
      expect(Number(await call(nginx, "checked", "slow", 1500))).toBe(pid);
      expect(Number(await call(nginx, "checked", "busy", 250))).toBe(pid);
      const begin = Date.now();
      expect(await call(nginx, "checked", "spin")).toMatch(
        /its process \d+ has taken no call within the time of its health check \(health\.timeout, 600 ms\) and is killed.*runtime_down/,
      );
      expect(Date.now() - begin).toBeLessThan(5000);
      await until(
        async () => Number(await call(nginx, "checked", "pid")) > 0,
        10_000,
        () => "it does not come back",
      );
      // and one that hangs without a call
      const next = Number(await call(nginx, "checked", "pid"));
      process.kill(next, "SIGSTOP");
      await until(
        () => statOf(next) === undefined || statOf(next)?.state === "Z",
        5_000,
        () => "a stopped process is not noticed",
      );
    });
  });

  test("a call that was in flight at a death is never sent again", async () => {
    const server = location("once", "");
    const main = "user root;"; // who may write the file
    await withNginx(options({ prefix, server, main }), async (nginx) => {
      const pid = Number(await call(nginx, "once", "pid"));
      const file = `${nginx.dir}/once`;
      const lost = call(nginx, "once", "once", file);
      await until(
        () => readOrEmpty(file) === "x",
        5_000,
        () => "not called",
      );
      process.kill(pid, "SIGKILL");
      expect(await lost).toMatch(/runtime_down/);
      await until(
        async () => Number(await call(nginx, "once", "pid")) > 0,
        10_000,
        () => "it does not come back",
      );
      expect(readOrEmpty(file)).toBe("x");
    });
  });

  test("restarts back off, and each step is one line of the log", async () => {
    const server = shell("dying", "exit 1");
    await withNginx(options({ prefix, server }), async (nginx) => {
      await nginx.get("/dying");
      const starts = () => nginx.errorLog().match(/process \d+ started/g)?.length ?? 0;
      await until(
        () => starts() >= 7,
        20_000,
        () => `${starts()} starts`,
      );
      const delays = [...nginx.errorLog().matchAll(/it is started again in (\d+) ms/g)];
      expect(delays.slice(0, 6).map((match) => Number(match[1]))).toEqual([
        100, 200, 400, 800, 1600, 3200,
      ]);
      const begin = Date.now();
      expect(await nginx.get("/dying")).toMatch(/is down: its process \d+ ended/);
      expect(Date.now() - begin).toBeLessThan(1000);
    });
  });

  test("one that does not end at close is killed at the limit, with its session", async () => {
    const close = content(
      "= /close",
      `local rt = nffi.load("node", { module = "module.ts" }) rt:close() ngx.say("closed")`,
    );
    const main = "worker_shutdown_timeout 1s;";
    const server = location("closing", "") + close;
    await withNginx(options({ prefix, server, main }), async (nginx) => {
      const pid = Number(await call(nginx, "closing", "pid"));
      const spinning = call(nginx, "closing", "spin");
      await new Promise((done) => setTimeout(done, 100));
      const begin = Date.now();
      await nginx.get("/close");
      expect(await spinning).toMatch(
        /has not ended within the grace period \(1000 ms\) and is killed.*runtime_down/,
      );
      expect(Date.now() - begin).toBeGreaterThan(700);
      await until(
        () => statOf(pid) === undefined,
        5_000,
        () => "it is still there",
      );
    });
  });

  test("a daemon that the worker starts does not keep it alive", async () => {
    const daemon = content(
      "= /daemon",
      `local pipe = io.popen("sleep 60 > /dev/null 2>&1 & echo $!")
       ngx.print(pipe:read("*a")) pipe:close()`,
    );
    await withNginx(
      options({ prefix, server: location("daemon-rt", "") + daemon }),
      async (nginx) => {
        const pid = Number(await call(nginx, "daemon-rt", "pid"));
        const sleeper = Number(await nginx.get("/daemon"));
        try {
          nginx.signal("SIGKILL", nginx.workers()[0]);
          await until(
            () => !isRunning(pid),
            5_000,
            () => "it outlives its worker",
          );
          expect(isRunning(sleeper)).toBe(true);
        } finally {
          process.kill(sleeper, "SIGKILL");
        }
      },
    );
  });

  test("a worker has no child of ours, and reaps its own still", async () => {
    const execute = content("= /execute", `ngx.say(os.execute("exit 3"))`);
    await withNginx(options({ prefix, server: location("rt", "") + execute }), async (nginx) => {
      for (let i = 0; i < 3; i++) {
        const pid = Number(await call(nginx, "rt", "pid"));
        process.kill(pid, "SIGKILL");
        await until(
          async () => Number(await call(nginx, "rt", "pid")) > 0,
          10_000,
          () => "it does not come back",
        );
      }
      const [worker = 0] = nginx.workers();
      await until(
        () => runtimesOf(worker).length === 1,
        5_000,
        () => `processes of the worker: ${runtimesOf(worker)}`,
      );
      // nothing that nginx would reap, and log as an unknown process
      expect(childrenOf(worker)).toEqual([]);
      expect(supervisorsOf(worker).length).toBe(1);
      expect(nginx.errorLog()).not.toContain("unknown process");
      expect(await nginx.get("/execute")).toMatch(/\d/);
    });
  });
});

/** A C file of test/fixtures/preload as a library. */
function preload(name: string): string {
  const library = join(temporaryFolder(), `${name}.so`);
  const source = join(repository, "test/fixtures/preload", `${name}.c`);
  execFileSync("cc", ["-shared", "-fPIC", "-o", library, source]);
  return library;
}

describe("the supervisor of a worker", () => {
  let prefix: string;

  beforeAll(async () => {
    prefix = await builtOpenresty(anySuite);
  });

  const isBack = (nginx: Nginx, name: string, than: number) =>
    until(
      async () => {
        const pid = Number(await call(nginx, name, "pid"));
        return pid > 0 && pid !== than;
      },
      10_000,
      () => `it does not come back:\n${nginx.errorLog()}`,
    );

  test("the death of it or of a keeper harms no call; another one replaces it", async () => {
    const server = location("rt", "");
    await withNginx(options({ prefix, server }), async (nginx) => {
      const pid = Number(await call(nginx, "rt", "pid"));
      const [worker = 0] = nginx.workers();
      const [supervisor = 0] = supervisorsOf(worker);
      const slow = call(nginx, "rt", "slow", 500);
      process.kill(supervisor, "SIGKILL");
      await nginx.waitForLog("[warn] ");
      await nginx.waitForLog("the supervisor of the processes has ended");
      process.kill(statOf(pid)?.parent ?? 0, "SIGKILL");
      await nginx.waitForLog(`the keeper of process ${pid} has ended`);
      expect(Number(await slow)).toBe(pid);
      expect(Number(await call(nginx, "rt", "pid"))).toBe(pid);
      process.kill(pid, "SIGKILL");
      await isBack(nginx, "rt", pid);
      expect(supervisorsOf(worker).length).toBe(1);
      expect(supervisorsOf(worker)).not.toContain(supervisor);
      expect(nginx.errorLog()).not.toContain("unknown process");
    });
  });

  test("daemons of a process end with it, and with a worker that is killed", async () => {
    const server = location("rt", "");
    await withNginx(options({ prefix, server }), async (nginx) => {
      const ends = (pid: number, what: string) =>
        until(
          () => !isRunning(pid),
          5_000,
          () => `${what}: ${pid} is left`,
        );
      const pid = Number(await call(nginx, "rt", "pid"));
      const first = Number(await call(nginx, "rt", "daemon"));
      expect(isRunning(first)).toBe(true);
      process.kill(pid, "SIGKILL");
      await ends(first, "the process was killed");
      await isBack(nginx, "rt", pid);
      const second = Number(await call(nginx, "rt", "daemon"));
      expect(isRunning(second)).toBe(true);
      const [worker = 0] = nginx.workers();
      const supervisors = supervisorsOf(worker);
      nginx.signal("SIGKILL", worker);
      await ends(second, "the worker was killed");
      for (const each of supervisors) await ends(each, "the worker was killed");
    });
  });

  test("a load and a restart neither fork nor wait for files, users or memory", async () => {
    const output = location("rt", `user = "nobody"`);
    const env = { PATH: process.env.PATH ?? "", LD_PRELOAD: preload("forbidden") };
    const main = "master_process off;";
    await withNginx(options({ prefix, server: output, main, env }), async (nginx) => {
      const before = nginx.errorLog().match(/forbidden: /g)?.length ?? 0;
      const pid = Number(await call(nginx, "rt", "pid"));
      process.kill(pid, "SIGKILL");
      await isBack(nginx, "rt", pid);
      const named = [...nginx.errorLog().matchAll(/forbidden: (\w+)/g)].map((match) => match[1]);
      expect(named.slice(before)).toEqual([]);
    });
  });

  test("a process that was up for a minute is started again as if for the first time", async () => {
    const clock = join(temporaryFolder(), "clock");
    writeFileSync(clock, Buffer.alloc(8));
    const env = {
      ...{ PATH: process.env.PATH ?? "", LD_PRELOAD: preload("clock") },
      PRELOAD_CLOCK: clock,
    };
    const server = location("rt", "");
    await withNginx(options({ prefix, server, env }), async (nginx) => {
      const die = async () => {
        const pid = Number(await call(nginx, "rt", "pid"));
        process.kill(pid, "SIGKILL");
        await isBack(nginx, "rt", pid);
      };
      await die();
      await die();
      await die();
      const ahead = Buffer.alloc(8);
      ahead.writeBigInt64LE(30n);
      writeFileSync(clock, ahead, { flag: "r+" });
      await die();
      ahead.writeBigInt64LE(30n + 61n);
      writeFileSync(clock, ahead, { flag: "r+" });
      await die();
      const delays = [...nginx.errorLog().matchAll(/it is started again in (\d+) ms/g)];
      expect(delays.map((match) => Number(match[1]))).toEqual([100, 200, 400, 800, 100]);
    });
  });
});

describe("a process that forks, floods or breaks the rules", () => {
  let prefix: string;

  beforeAll(async () => {
    prefix = await builtOpenresty(anySuite);
  });

  // the descriptor numbers and the header of the memory must match c-src/lib
  const files = {
    "app.py": `
import ctypes, multiprocessing, os, struct, threading

def pid():
    return os.getpid()

def _grandchild(queue):
    queue.put(os.getpid())

def _child(queue):
    own = multiprocessing.get_context("fork").Queue()
    process = multiprocessing.get_context("fork").Process(target=_grandchild, args=(own,))
    process.start()
    queue.put([own.get(timeout=10), process.pid])
    process.join()

def answer(method):
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=_grandchild, args=(queue,))
    process.start()
    found = queue.get(timeout=20)
    process.join()
    return found == process.pid

def nested():
    queue = multiprocessing.get_context("fork").Queue()
    process = multiprocessing.get_context("fork").Process(target=_child, args=(queue,))
    process.start()
    found, wanted = queue.get(timeout=20)
    process.join()
    return found == wanted

def spoil(offset):
    with open("/proc/self/maps") as maps:
        line = next(line for line in maps if "memfd:nffi-queue" in line)
    start = int(line.split("-")[0], 16)
    ctypes.memset(start + int(offset), 0xff, 4)
    os.write(5, struct.pack("Q", 1))
    threading.Event().wait()
`,
  };
  const python = (name: string, more: string) =>
    location(name, "").replace(
      /nffi\.load\([^)]*\)/,
      `nffi.load("python", { module = "app.py", ${more} })`,
    );

  /** Where the memory of the queue has the runtime's end of this ring. */
  function endOf(ring: string): number {
    const program = join(temporaryFolder(), "offset");
    const source = `${program}.c`;
    writeFileSync(
      source,
      `#include <stdio.h>
       #include "shared/region.h"
       int main(void) { printf("%zu", offsetof(nffi__header_t, ${ring}.tail)); return 0; }`,
    );
    const folders = ["lib", "include"].map((name) => `-I${join(repository, "c-src", name)}`);
    execFileSync("cc", ["-std=gnu11", ...folders, "-o", program, source]);
    return Number(execFileSync(program, { encoding: "utf8" }));
  }

  test("it is killed with its wrapper and all, the log says why, and it is restarted", async () => {
    const server = python(
      "rt",
      `program = "/bin/sh", python_args = { "-c", "/usr/bin/python3 $0; exit 1" }`,
    );
    await withNginx({ prefix, server, files }, async (nginx) => {
      for (const ring of ["done_ring", "logs_ring"]) {
        let pid = 0;
        await until(
          async () => {
            pid = Number(await call(nginx, "rt", "pid"));
            return pid > 0;
          },
          10_000,
          () => "it does not come back",
        );
        expect(await call(nginx, "rt", "spoil", endOf(ring))).toMatch(
          /its process \d+ broke the rules of the queue and is killed\|runtime_down/,
        );
        await nginx.waitForLog(/\[error\].*broke the rules of the queue/);
        await until(
          () => !isRunning(pid),
          5_000,
          () => "the program behind the wrapper lives on",
        );
      }
      await until(
        () => nginx.errorLog().match(/broke the rules .* it is started again/g)?.length === 2,
        5_000,
        () => nginx.errorLog(),
      );
    });
  });

  test.each(["fork", "spawn", "forkserver"])("multiprocessing works by %s", async (method) => {
    await withNginx({ prefix, server: python("rt", ""), files }, async (nginx) => {
      expect(await call(nginx, "rt", "answer", method)).toBe("true\n");
    });
  });

  test("forks of its forks keep their own descriptors", async () => {
    await withNginx({ prefix, server: python("rt", ""), files }, async (nginx) => {
      expect(await call(nginx, "rt", "nested")).toBe("true\n");
      expect(await call(nginx, "rt", "nested")).toBe("true\n");
    });
  });

  test("a flood of messages holds up no other request", async () => {
    const { program } = nativeProgram(prefix, "test/fixtures/runtimes/flooding.c");
    const server = [
      content("= /flood", `ngx.print(nffi.load("process", { program = "${program}" }):call("x"))`),
      content("= /alive", `ngx.say("alive")`),
    ].join("\n");
    await withNginx({ prefix, server }, async (nginx) => {
      expect(await nginx.get("/flood")).toBe("begins");
      const times: number[] = [];
      for (let i = 0; i < 15; i++) {
        const begin = Date.now();
        expect(await nginx.get("/alive")).toBe("alive\n");
        times.push(Date.now() - begin);
      }
      // some ms each; without a bound 300 and more
      const median = times.sort((x, y) => x - y)[7];
      expect(median, `${times}`).toBeLessThan(100);
    });
  });
});

test("options that are none are errors at the line of the caller", async () => {
  const prefix = await builtOpenresty(anySuite);
  const bad = [
    `processes = 0`,
    `processes = 1.5`,
    `nice = 20`,
    `nice = "high"`,
    `limits = 5`,
    `limits = { disk = 1 }`,
    `limits = { files = 3 }`,
    `limits = { memory = -1 }`,
    `health = true`,
    `health = { period = 1 }`,
    `health = { interval = 0 }`,
    `user = ""`,
    `user = "a\\0b"`,
    `directory = 7`,
    `affinity = "some"`,
    `env = { ["A=B"] = 1 }`,
  ];
  const server = content(
    "= /bad",
    bad
      .map(
        (option) => `ngx.say(show(pcall(function()
           local rt = nffi.load("node", { module = "m.ts", ${option} }) end)))`,
      )
      .join("\n"),
  );
  await withNginx({ prefix, server }, async (nginx) => {
    const replies = (await nginx.get("/bad")).trim().split("\n");
    expect(replies.map((reply) => reply.replace(/^false\|\S+:\d+: /, ""))).toEqual([
      "processes must be a whole number from 1 to 256, got 0",
      "processes must be a whole number from 1 to 256, got 1.5",
      "nice must be a whole number from -20 to 19, got 20",
      "nice must be a whole number from -20 to 19, got high",
      expect.stringMatching(/^limits must be a table, got /),
      'unknown field of limits "disk"',
      expect.stringMatching(/^limits\.files must be a whole number from 32 to/),
      expect.stringMatching(/^limits\.memory must be a whole number from 1 to/),
      expect.stringMatching(/^health must be a table, got /),
      'unknown field of health "period"',
      expect.stringMatching(/^health\.interval must be a whole number from 10 to/),
      "user must be the name of a user, got ",
      expect.stringMatching(/^user must be the name of a user, got a/),
      "directory must be a string that is not empty",
      expect.stringMatching(/^affinity must be "all" or "inherit", got /),
      "env: bad name A=B",
    ]);
  });
});

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function isRunning(pid: number): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.state !== "Z";
}

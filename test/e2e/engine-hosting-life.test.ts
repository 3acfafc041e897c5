// The life of a hosted process: its health, its death and restarts, its end with the worker, the
// supervisor, and what a process that forks, floods or breaks the rules does to others.
import { execFileSync } from "node:child_process";
import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { call, isRunning, location, options, shell } from "../support/hosting.js";
import { content } from "../support/lua.js";
import { nativeProgram } from "../support/native-runtime.js";
import { type Nginx, until, withNginx } from "../support/nginx.js";
import { anySuite, builtOpenresty } from "../support/openresty.js";
import { preload } from "../support/preload.js";
import { childrenOf, runtimesOf, statOf, supervisorsOf } from "../support/processes.js";
import { temporaryFolder } from "../support/temporary.js";

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

  test("one that is ready during a long turn of the event loop is not killed at its start limit", async () => {
    const { program } = nativeProgram(prefix, "test/fixtures/runtimes/slow_start.c");
    // the program is ready in this turn: `timeout` or `start_timeout` passes in it as well
    const start = (name: string, options: string) =>
      content(
        `= /${name}`,
        `local rt = assert(nffi.load("process", { program = "${program}", arena = 65536, config = "${name}",
             ${options} }))
         local thread = ngx.thread.spawn(function() return rt:call("x") end)
         ngx.sleep(0.3)
         local until_time = ngx.now() + 0.9
         repeat ngx.update_time() until ngx.now() > until_time
         local _, reply, err = ngx.thread.wait(thread)
         ngx.sleep(1)
         local processes = nffi.metrics().runtimes[1].processes
         ngx.print(reply and #reply or err, " ", processes[1].state, " ", processes[1].restarts)
         rt:close()`,
      );
    const server = [
      start("answered", "timeout = 500, start_timeout = 2000"),
      start("late", "timeout = 5000, start_timeout = 1000"),
    ].join("\n");
    await withNginx({ prefix, server }, async (nginx) => {
      expect(await nginx.get("/answered")).toBe("200000 ready 0");
      expect(await nginx.get("/late")).toBe("200000 ready 0");
      expect(nginx.errorLog()).not.toContain("was not ready");
    });
  });

  test("one that cannot be started for the moment is tried again", async () => {
    const folder = temporaryFolder();
    chmodSync(folder, 0o755); // workers run as another user
    const inFlight = join(folder, "in-flight");
    const { program } = nativeProgram(prefix, "test/fixtures/runtimes/brief.c");
    const server = content(
      "= /rt",
      `local rt, err, code = nffi.load("process", { program = "${program}", processes = 3 })
       if not rt then ngx.print(show(err, code)) return end
       local reply, why, code = rt:call("hello")
       ngx.print(reply or show(why, code))`,
    );
    const env = {
      ...{ PATH: process.env.PATH ?? "", LD_PRELOAD: preload("in_flight", folder) },
      PRELOAD_IN_FLIGHT: inFlight,
    };
    const main = "env PRELOAD_IN_FLIGHT;";
    await withNginx({ prefix, server, env, main }, async (nginx) => {
      writeFileSync(inFlight, "");
      expect(await nginx.get("/rt")).toMatch(
        /is down: .*sendmsg failed \(109: .*\)\|runtime_down$/,
      );
      await nginx.waitForLog(/sendmsg failed \(109: .*; it is started again in 100 ms/);
      rmSync(inFlight);
      const started = () => nginx.errorLog().match(/process \d+ started/g)?.length;
      await until(
        () => started() === 3,
        5_000,
        () => nginx.errorLog(),
      );
      expect(await nginx.get("/rt")).toBe("hello");
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
      // it does not wait for the next start, after 6400 ms
      expect(Date.now() - begin).toBeLessThan(4000);
    });
  });

  test("one that does not end at close is killed at the limit, with its group", async () => {
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
    const env = {
      PATH: process.env.PATH ?? "",
      LD_PRELOAD: preload("forbidden", temporaryFolder()),
    };
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
      ...{ PATH: process.env.PATH ?? "", LD_PRELOAD: preload("clock", temporaryFolder()) },
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
          /its process \d+ violated the queue protocol and is killed\|runtime_down/,
        );
        await nginx.waitForLog(/\[error\].*violated the queue protocol/);
        await until(
          () => !isRunning(pid),
          5_000,
          () => "the program behind the wrapper lives on",
        );
      }
      await until(
        () =>
          nginx.errorLog().match(/violated the queue protocol .* it is started again/g)?.length ===
          2,
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
      const medianTime = async () => {
        const times: number[] = [];
        for (let i = 0; i < 15; i++) {
          const begin = Date.now();
          expect(await nginx.get("/alive")).toBe("alive\n");
          times.push(Date.now() - begin);
        }
        return times.sort((x, y) => x - y)[7] as number;
      };
      // more on a machine that is busy with something else
      const idle = await medianTime();
      expect(await nginx.get("/flood")).toBe("begins");
      // some ms each; without a bound 300 and more
      expect(await medianTime()).toBeLessThan(Math.max(100, 5 * idle));
    });
  });
});

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

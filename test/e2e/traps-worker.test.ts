// Traps that have hurt implementations like this one, each in a real worker: how it leaves, its
// signals, its virtual machines, its helpers, and libraries without manners. The list of all traps
// with their tests is test/unit/traps.test.ts.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../src/io/port.js";
import { isAttachedSuite } from "../support/attached-product.js";
import { content } from "../support/lua.js";
import { nativeProgram, nativeRuntime } from "../support/native-runtime.js";
import { type NginxOptions, startNginxForTest, until, withNginx } from "../support/nginx.js";
import { builtOpenresty, suites } from "../support/openresty.js";

const MODULE = `
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
export const later = async (ms) => { await wait(ms); return "later"; };
export const pid = () => process.pid;
export default (bytes) => bytes;
`;

/** Signals that nginx uses itself, in the mask that /proc shows. */
const NGINX_SIGNALS = [1, 2, 3, 10, 12, 13, 14, 15, 17, 28, 29, 31];

function signalsIn(status: string, name: "SigBlk" | "SigCgt" | "SigIgn"): number[] {
  const mask = BigInt(`0x${new RegExp(`^${name}:\\s*(\\w+)`, "m").exec(status)?.[1] ?? "0"}`);
  return NGINX_SIGNALS.filter((signal) => (mask >> BigInt(signal - 1)) & 1n);
}

function statusOf(pid: number | string): string {
  return readFileSync(`/proc/${pid}/status`, "utf8");
}

describe.each(suites)("traps in a worker, %s", (suite) => {
  let prefix: string;
  let echo: string;
  let load: { native: string; node: string };

  beforeAll(async () => {
    prefix = await builtOpenresty(suite);
    echo = join(prefix, "nffi/lib/libnffi_echo.so");
    load = {
      native: `assert(nffi.load("${echo}", { config = "4" }))`,
      node: `assert(nffi.load("node", { module = "m.mjs" }))`,
    };
  });

  const options = (server: string[], more: Partial<NginxOptions> = {}): NginxOptions => ({
    prefix,
    files: { "m.mjs": MODULE },
    server: server.join("\n"),
    ...more,
  });

  const pid = () => content("= /pid", "ngx.print(ngx.worker.pid())");
  const call = (path = "= /call") =>
    content(path, `ngx.print(${load.native}:call(ngx.var.arg_v or "x"))`);

  test.each(["SIGQUIT", "SIGHUP"] as const)(
    "a worker that leaves by %s answers what is in flight, though nothing but our timer keeps it",
    async (signal) => {
      const server = [
        content("= /native", `ngx.print(${load.native}.methods:sleep("1200"))`),
        content("= /node", `ngx.print(${load.node}.methods:later(1200))`),
        content(
          "= /timer",
          `assert(ngx.timer.at(0, function()
            ngx.log(ngx.WARN, "timer got ", ${load.native}.methods:sleep("1200"))
        end))`,
        ),
        content(
          "= /state",
          `ngx.print(${load.native}:state().awaited + ${load.node}:state().awaited)`,
        ),
      ];
      const nginx = await startNginxForTest(options(server));
      const calls = Promise.all([nginx.get("/native"), nginx.get("/node"), nginx.get("/timer")]);
      await expect.poll(() => nginx.get("/state"), { timeout: 10_000 }).toBe("3");
      const workers = nginx.workers();
      nginx.signal(signal);
      expect(await calls).toEqual(["1200", "later", ""]);
      const log = await nginx.waitForLog("timer got 1200");
      await expect
        .poll(() => workers.filter((worker) => existsSync(`/proc/${worker}`)), { timeout: 10_000 })
        .toEqual([]);
      await nginx.stop({ signal: "SIGQUIT" });
      expect(log).not.toMatch(/exited on signal/);
    },
  );

  test("a binary upgrade: the old worker finishes its call, the new one serves, and nothing is left", async () => {
    const later = content("= /later", `ngx.print(${load.node}.methods:later("800"))`);
    const server = [pid(), call(), later];
    await withNginx(options(server, { daemon: true }), async (nginx) => {
      const master = nginx.pid;
      const worker = await nginx.get("/pid");
      expect(await nginx.get("/call?v=old")).toBe("old");
      const inFlight = nginx.get("/later");
      await setTimeout(200);
      nginx.signal("SIGUSR2", master);
      const isNew = () => nginx.pid !== master && nginx.workers().length > 0;
      await until(isNew, 10_000, () => `no new master:\n${nginx.errorLog()}`);
      nginx.signal("SIGQUIT", master);
      expect(await inFlight).toBe("later");
      const hasEnded = () => !existsSync(`/proc/${master}`) && !existsSync(`/proc/${worker}`);
      await until(hasEnded, 10_000, () => `the old one stays:\n${nginx.errorLog()}`);
      expect(await nginx.get("/call?v=new")).toBe("new");
      expect(await nginx.get("/later")).toBe("later");
      expect(nginx.errorLog()).not.toMatch(/exited on signal/);
    });
  });

  test("a worker without calls exits immediately: an idle runtime does not keep it", async () => {
    const nginx = await startNginxForTest(
      options([call(), content("= /node", `${load.node}:call("x")`)]),
    );
    await nginx.get("/call");
    await nginx.get("/node");
    await nginx.stop({ signal: "SIGQUIT", timeoutMs: 5000 });
  });

  test("a library stays mapped when it is unloaded and when its Lua VM closes", async () => {
    const server = [
      content(
        "= /unload",
        `local rt = assert(ngx.load_nonblocking_ffi("${echo}", "3", { unpin = true }))
         ngx.print((select(2, rt:echo("x"))))
         ngx.thread.spawn(function() rt:sleep("300") end)
         rt:__unload() rt = nil
         collectgarbage() collectgarbage()`,
      ),
      pid(),
      call(),
    ];
    const http = "lua_code_cache off;";
    await withNginx(options(server, { http }), async (nginx) => {
      const worker = await nginx.get("/pid");
      for (let i = 0; i < 5; i++) {
        expect(await nginx.get("/unload")).toBe("x");
        expect(await nginx.get("/call?v=y")).toBe("y");
      }
      expect(readFileSync(`/proc/${worker}/maps`, "utf8")).toContain("libnffi_echo.so");
      expect(await nginx.get("/pid")).toBe(worker);
    });
  });

  test("threads that run when the worker ends do not crash it", async () => {
    for (const signal of ["SIGQUIT", "SIGTERM"] as const) {
      const server = [
        content(
          "= /busy",
          `for i = 1, 20 do ngx.timer.at(0, function() ${load.native}.methods:sleep("700") end) end`,
        ),
        call(),
      ];
      const nginx = await startNginxForTest(
        options(server, { main: "worker_shutdown_timeout 200ms;" }),
      );
      await nginx.get("/busy");
      await nginx.get("/call");
      nginx.signal(signal);
      await nginx.waitForLog(/worker process \d+ exited|exiting/);
      const log = await nginx.waitForLog(/\d+#\d+: exit$/m);
      await nginx.stop();
      expect(log).not.toMatch(/exited on signal|exited with code [^0]/);
    }
  });

  test("with lua_code_cache off a VM for each request calls, waits and goes while others wait", async () => {
    const server = [
      call(),
      content("= /node", `ngx.print(${load.node}.methods:pid())`),
      content(
        "= /slow",
        `ngx.print(${load.native}.methods:sleep("300"), ${load.node}.methods:later(100))`,
      ),
      content(
        "= /killed",
        `local t = ngx.thread.spawn(function() ${load.native}.methods:sleep("200") end)
        ngx.sleep(0.01) ngx.thread.kill(t) ngx.print("killed")`,
      ),
    ];
    await withNginx(options(server, { http: "lua_code_cache off;" }), async (nginx) => {
      const node = await nginx.get("/node");
      const slow = Array.from({ length: 10 }, () => nginx.get("/slow"));
      const fast = Array.from({ length: 40 }, (_, i) => nginx.get(`/call?v=${i}`));
      const killed = Array.from({ length: 10 }, () => nginx.get("/killed"));
      expect(await Promise.all(fast)).toEqual(fast.map((_, i) => `${i}`));
      expect(new Set(await Promise.all(killed))).toEqual(new Set(["killed"]));
      expect(new Set(await Promise.all(slow))).toEqual(new Set(["300later"]));
      expect(await nginx.get("/node")).toBe(node);
      expect(nginx.errorLog()).not.toMatch(/exited on signal/);
    });
  });

  test("master_process off: one process is master and worker, and calls", async () => {
    const server = [call(), content("= /node", `ngx.print(${load.node}:call("node"))`)];
    await withNginx(options(server, { main: "master_process off;" }), async (nginx) => {
      expect(await nginx.get("/call?v=native")).toBe("native");
      expect(await nginx.get("/node")).toBe("node");
    });
  });

  test("several workers have separate runtimes", async () => {
    const server = [
      pid(),
      content(
        "= /both",
        `ngx.print(ngx.worker.pid(), " ", ${load.native}:call("x"), " ", ${load.node}.methods:pid())`,
      ),
    ];
    await withNginx(options(server, { workers: 3 }), async (nginx) => {
      const seen = new Map<string, string>();
      // which worker gets a connection is the kernel's choice
      await expect
        .poll(
          async () => {
            const response = await nginx.request("/both", { headers: { connection: "close" } });
            const [worker = "", text, node = ""] = response.body.split(" ");
            expect(text).toBe("x");
            expect(seen.get(worker) ?? node).toBe(node);
            seen.set(worker, node);
            return seen.size;
          },
          { timeout: 20_000, interval: 1 },
        )
        .toBeGreaterThan(1);
      expect(new Set(seen.values()).size).toBe(seen.size);
    });
  });

  test("helpers (cache manager and loader) are not affected, and none loads a runtime", async () => {
    const http = `
      proxy_cache_path @DIR@/temp/cache keys_zone=cache:1m loader_files=1;
      init_worker_by_lua_block {
        local nffi = require "resty.nffi"
        ngx.log(ngx.WARN, "loaded in ", ngx.worker.pid(), ": ", tostring(${load.native}), tostring(${load.node}))
      }`;
    const server = [
      call(),
      `location = /cached { proxy_cache cache; proxy_cache_valid 200 1m; proxy_pass http://127.0.0.1:@PORT@/call?v=cached; }`,
    ];
    await withNginx(options(server, { http }), async (nginx) => {
      expect(await nginx.get("/cached")).toBe("cached");
      expect(await nginx.get("/cached")).toBe("cached");
      const log = await nginx.waitForLog("loaded in ");
      expect(log.match(/start cache (manager|loader) process/g)).toHaveLength(2);
      expect(log.match(/loaded in \d+/g)).toHaveLength(1);
      expect(log).not.toMatch(/exited on signal/);
    });
  });

  test("the privileged agent loads and calls, where the build has one", async () => {
    const http = `
      init_by_lua_block {
        local ok, err = pcall(function() return assert(require("ngx.process").enable_privileged_agent()) end)
        has_agent = ok
      }
      init_worker_by_lua_block {
        local kind = require("ngx.process").type()
        if kind == "privileged agent" then
            ngx.timer.at(0, function()
              local nffi = require "resty.nffi"
              local native = assert(nffi.load("${echo}", { config = "4" }))
              local node = assert(nffi.load("node", { module = "agent.mjs" }))
              ngx.log(ngx.WARN, "agent: ", native:call("x"), " ", node:call("y"), " done")
            end)
        end
      }`;
    const server = [call(), content("= /agent", "ngx.print(tostring(has_agent))")];
    const files = { "agent.mjs": "export default (bytes) => bytes;" };
    await withNginx(options(server, { http, files }), async (nginx) => {
      expect(await nginx.get("/call?v=x")).toBe("x");
      if ((await nginx.get("/agent")) === "true") {
        await nginx.waitForLog("agent: x y done");
      } else {
        // Debian's nginx lacks the patch: nothing of the kind has started
        expect(nginx.errorLog()).not.toMatch(/privileged agent process/);
      }
      expect(nginx.errorLog()).not.toMatch(/exited on signal/);
    });
  });

  test("a call that its phase refuses has posted nothing", async () => {
    const server = [
      `location = /refused {
         content_by_lua_block { ngx.print("body") }
         header_filter_by_lua_block { local nffi = require "resty.nffi" for _ = 1, 50 do ${load.native}:call("x") end }
         log_by_lua_block { local nffi = require "resty.nffi" for _ = 1, 50 do ${load.native}:call("x") end }
       }`,
      content(
        "= /state",
        `local s = ${load.native}:state() ngx.print(s.queued + s.unanswered + s.awaited + s.refused)`,
      ),
    ];
    await withNginx(options(server), async (nginx) => {
      for (let i = 0; i < 5; i++) expect(await nginx.get("/refused")).toBe("body");
      expect(await nginx.get("/state")).toBe("0");
    });
  });

  test("a refused call leaves no clean-up handler behind to hit another one", async () => {
    const server = [
      content(
        "= /",
        `local one = assert(nffi.load("${echo}", { config = "1", max_queue = 1, max_tasks = 2 }))
         local results = {}
         local busy = { ngx.thread.spawn(function() return one.methods:sleep("300") end) }
         ngx.sleep(0.05)
         busy[2] = ngx.thread.spawn(function() return one.methods:echo("good") end)
         -- refused, then asleep in something else, then killed
         local refused = ngx.thread.spawn(function()
             results[1] = select(3, one:call("x"))
             ngx.sleep(5)
         end)
         ngx.sleep(0.05)
         ngx.print(results[1], " ", tostring(ngx.thread.kill(refused)), " ", one:state().awaited, " ")
         ngx.print(select(2, ngx.thread.wait(busy[1])), " ", select(2, ngx.thread.wait(busy[2])), " ")
         ngx.print(one:state().awaited, one:state().refused)`,
      ),
    ];
    await withNginx(options(server), async (nginx) => {
      expect(await nginx.get("/")).toBe("queue_full 1 2 300 good 00");
    });
  });

  test("threads of a runtime block no signal, which programs would inherit", async () => {
    await withNginx(options([call(), pid()]), async (nginx) => {
      const worker = await nginx.get("/pid");
      const before = readdirSync(`/proc/${worker}/task`);
      await nginx.get("/call");
      const threads = readdirSync(`/proc/${worker}/task`).filter((id) => !before.includes(id));
      expect(threads.length).toBe(4);
      for (const thread of threads) {
        // glibc blocks all of them until a new thread runs
        await expect
          .poll(() => signalsIn(statusOf(`${worker}/task/${thread}`), "SigBlk"))
          .toEqual([]);
      }
      for (const signal of ["SIGUSR1", "SIGUSR2", "SIGHUP", "SIGCHLD", "SIGPIPE"] as const) {
        for (let i = 0; i < 20; i++) nginx.signal(signal, Number(worker));
      }
      expect(await nginx.get("/pid")).toBe(worker);
      const handled = [...nginx.errorLog().matchAll(/(\d+)#(\d+): signal \d+/g)];
      expect(handled.length).toBeGreaterThan(0);
      expect(handled.filter(([, pid, tid]) => pid !== tid)).toEqual([]);
    });
  });

  test("signals that a library takes while it starts are restored", async () => {
    const grabby = nativeRuntime(prefix, "grabby");
    const server = [
      content("= /", `ngx.print(assert(nffi.load("${grabby}")):call("x"))`),
      content(
        "= /execute",
        `ngx.print(os.execute("exit 3"), " ", io.popen("echo out"):read("*a"))`,
      ),
      pid(),
    ];
    await withNginx(options(server), async (nginx) => {
      const worker = await nginx.get("/pid");
      const handlers = () =>
        (["SigCgt", "SigIgn"] as const).map((of) => signalsIn(statusOf(worker), of));
      const [handled = [], ignored = []] = handlers();
      expect(await nginx.get("/")).toBe("x");
      // signals that nginx ignores have a handler that does nothing
      const all = [...handled, ...ignored].sort((a, b) => a - b);
      expect(handlers()).toEqual([all, []]);
      // a child ends, logs are reopened, and the worker is still nginx's
      expect(await nginx.get("/execute")).toMatch(/^(768|3|-1|nil) ?out\n$/);
      nginx.signal("SIGUSR1", Number(worker));
      expect(await nginx.get("/")).toBe("x");
      expect(await nginx.get("/pid")).toBe(worker);
      await nginx.reload();
      await expect.poll(() => nginx.get("/pid"), { timeout: 10_000 }).not.toBe(worker);
      expect(await nginx.get("/")).toBe("x");
      expect(nginx.errorLog()).not.toMatch(/exited with code [^0]|exited on signal/);
    });
  });

  test("the start of a runtime does not hold up the worker", async () => {
    const slow = `await new Promise((done) => setTimeout(done, 1500)); export const up = () => "up";`;
    const server = [
      content(
        "= /load",
        `local begin = ngx.now() assert(nffi.load("node", { module = "slow.mjs" }))
        ngx.update_time() ngx.print(ngx.now() - begin)`,
      ),
      content(
        "= /up",
        `ngx.print(assert(nffi.load("node", { module = "slow.mjs" })).methods:up())`,
      ),
      call(),
    ];
    const files = { "m.mjs": MODULE, "slow.mjs": slow };
    await withNginx(options(server, { files }), async (nginx) => {
      expect(Number(await nginx.get("/load"))).toBeLessThan(1);
      let isUp = false;
      const up = nginx.get("/up").then((text) => {
        isUp = true;
        return text;
      });
      for (let i = 0; i < 20; i++) expect(await nginx.get(`/call?v=${i}`)).toBe(`${i}`);
      expect(isUp).toBe(false);
      expect(await up).toBe("up");
    });
  });

  test("answering twice, or with a pointer that is no task, is survived, counted and logged once", async () => {
    const rude = nativeRuntime(prefix, "rude");
    const server = [
      content(
        "= /",
        `local rt = assert(ngx.load_nonblocking_ffi("${rude}"))
        ngx.print((select(2, rt:echo(ngx.var.arg_v))))`,
      ),
      content("= /refused", `ngx.print(assert(nffi.load("${rude}")):state().refused)`),
      content(
        "= /process",
        `local rt = assert(nffi.load("process", { program = "${nativeProgram(prefix, "test/fixtures/runtimes/rude_process.c").program}" }))
         for i = 1, 20 do ngx.print(assert(rt:call(i)), " ") end
         ngx.print(rt:state().refused)`,
      ),
      content(
        "= /kinds",
        `for _, runtime in ipairs(nffi.metrics().runtimes) do
           ngx.say(runtime.kind, " ", runtime.refused.answered_twice, " ", runtime.refused.unknown_task)
         end`,
      ),
      content("= /prometheus", `ngx.print(nffi.metrics("prometheus"))`),
    ];
    await withNginx(options(server), async (nginx) => {
      const names = Array.from({ length: 200 }, (_, i) => `rude-${i}`);
      expect(await Promise.all(names.map((name) => nginx.get(`/?v=${name}`)))).toEqual(names);
      await expect.poll(() => nginx.get("/refused").then(Number), { timeout: 5_000 }).toBe(1000);
      const answers = Array.from({ length: 20 }, (_, i) => `${i + 1} `).join("");
      expect(await nginx.get("/process")).toContain(answers);
      await expect
        .poll(() => nginx.get("/kinds"), { timeout: 5_000 })
        .toBe("library 400 600\nprocess 40 20\n");
      expect(await nginx.get("/prometheus")).toMatch(
        /nffi_refused_total\{.*runtime=".*rude_process".*kind="answered_twice"\} 40\n/,
      );
      // each kind once for each runtime, by its name
      const log = nginx.errorLog();
      for (const name of [basename(rude), "rude_process"]) {
        const lines = log
          .split("\n")
          .filter((line) => line.includes(`${name}" responded to a task`));
        expect(lines.join("\n")).toMatch(/responded to a task a second time/);
        expect(lines.join("\n")).toMatch(/responded to a task that does not exist/);
        expect(lines.length).toBe(2);
      }
      expect(log).not.toMatch(/exited on signal/);
    });
  });

  test("a stream block beside http starts and serves", async () => {
    const port = await freePort();
    const more = {
      main: `stream { server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:@PORT@; } }`,
    };
    await withNginx(options([call()], more), async (nginx) => {
      expect(await nginx.get("/call?v=http")).toBe("http");
      const response = await fetch(`http://127.0.0.1:${port}/call?v=stream`);
      expect(await response.text()).toBe("stream");
    });
  });

  test("lua-resty-core loads our Lua in http only", ({ skip }) => {
    skip(isAttachedSuite(suite), "an attached nginx has an unchanged lua-resty-core");
    const core = readFileSync(join(prefix, "lualib/resty/core.lua"), "utf8");
    expect(core).toMatch(
      /if subsystem == 'http' then\s+require "resty\.core\.nonblocking_ffi"\s+end/,
    );
  });
});

// What must neither crash nor stall a worker, nor leak in it: methods called without their runtime,
// odd options, calls where no coroutine can yield, libraries that fail to start, processes that let
// go of the worker, an event method that refuses a descriptor.
import { execFileSync } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { content } from "../support/lua.js";
import { type Nginx, startNginx, until, withNginx } from "../support/nginx.js";
import { anySuite, builtOpenresty, suites } from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

/** fails EPOLL_CTL_ADD of the control socket while FAIL_FILE is there */
const SHIM = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int epoll_ctl(int ep, int op, int fd, struct epoll_event *ev) {
  int type;
  socklen_t size = sizeof(type);
  int (*real)(int, int, int, struct epoll_event *) = dlsym(RTLD_NEXT, "epoll_ctl");
  if (op == EPOLL_CTL_ADD && access(FAIL_FILE, F_OK) == 0
      && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET) {
    errno = ENOSPC;
    return -1;
  }
  return real(ep, op, fd, ev);
}
`;

describe.each(suites)("misuse of a native runtime, %s", (suite) => {
  let nginx: Nginx;

  beforeAll(async () => {
    const prefix = await builtOpenresty(suite);
    const echo = join(prefix, "nffi/lib/libnffi_echo.so");
    const load = `local rt = assert(nffi.load("${echo}", { config = "4" }))`;
    nginx = await startNginx({
      prefix,
      server: [
        content("= /pid", `ngx.print(ngx.worker.pid())`),
        content(
          "= /options",
          `${load}
           ngx.say(show(pcall(rt.call, rt, "x", 500)))
           ngx.say(show(pcall(rt.call, rt, "x", { timout = 500 })))
           ngx.say(show(pcall(rt.methods.echo, rt.methods, "x", 500)))
           ngx.say(show(pcall(nffi.load, "${echo}", { tiemout = 1 })))
           ngx.say(show(pcall(nffi.load, "node", { module = "x.mjs", is_global = true })))`,
        ),
        content(
          "= /dot",
          `${load}
           local old = assert(ngx.load_ffi("${echo}", "1"))
           for _, name in ipairs { "call", "close", "state" } do
               ngx.say(show(pcall(rt[name], {})))
               ngx.say(show(pcall(rt[name], "payload", nil, { timeout = 1 })))
           end
           ngx.say(show(pcall(old.__unload)))
           ngx.say(show(pcall(old.__unload, {})))
           ngx.say(show(pcall(rt.methods.echo, "payload")))
           ngx.say(rt:call("works"))`,
        ),
        content(
          "= /timeouts",
          `${load}
           for _, ms in ipairs { 0/0, -0.5, 1/0, 2^32 } do
               ngx.say(show(pcall(rt.call, rt, "x", { timeout = ms })))
           end
           ngx.say(show(rt.methods:sleep("200", { timeout = 0.4 })))`,
        ),
        content(
          "= /boundary",
          `${load}
           local function inner() ngx.say(show(rt.methods:sleep("50"))) end
           ngx.say(show(pcall(string.gsub, "a", "a", inner)))
           local thread = ngx.thread.spawn(function() ngx.sleep(0.2) return "its own" end)
           ngx.say(show(ngx.thread.wait(thread)))`,
        ),
        content(
          "= /names",
          `${load}
           local function names()
               local n = 0
               for _ in pairs(rt.methods) do n = n + 1 end
               return n
           end
           for i = 1, 3000 do local _ = rt.methods["name" .. i] end
           ngx.say(names(), " ", rt.methods["name3000"](rt.methods, "still called"))`,
        ),
        content(
          "= /failing",
          `for i = 1, 20 do
               local _, err = nffi.load("${echo}", { config = "none" })
               nffi.load("libz.so.1")
           end
           ngx.print(show(nffi.load("${echo}", { config = "none" })))`,
        ),
        content(
          "= /nul",
          `local function try(options)
               options.module = options.module or "hello.mjs"
               ngx.say((select(2, pcall(nffi.load, "node", options))))
           end
           try { module = "a\\0b" } try { program = "/bin/true\\0x" } try { directory = "/\\0" }
           try { node_args = { "a\\0" } } try { env = { A = "1\\0002" } } try { env = { [""] = "x" } }`,
        ),
      ].join("\n"),
    });
  });

  afterAll(async () => {
    await nginx?.stop();
  });

  test("options that are none are Lua errors", async () => {
    const lines = (await nginx.get("/options")).trim().split("\n");
    expect(lines.map((line) => line.replace(/^false\|(.*: )?/, ""))).toEqual([
      "options must be a table, got number",
      "unknown option timout",
      "options must be a table, got number",
      "unknown option tiemout",
      "unknown option is_global",
    ]);
  });

  test("a method called without its runtime is a Lua error", async () => {
    const lines = (await nginx.get("/dot")).trim().split("\n");
    expect(lines.slice(0, 6).map((line) => /call it as runtime:(\w+)\(\)/.exec(line)?.[1])).toEqual(
      ["call", "call", "close", "close", "state", "state"],
    );
    expect(lines.slice(6, 8).every((line) => line.includes("runtime:__unload()"))).toBe(true);
    expect(lines[8]).toContain("call it as runtime.methods:echo()");
    expect(lines[9]).toBe("works");
  });

  test("a timeout that is no number of milliseconds is refused, a part of one is one", async () => {
    const lines = (await nginx.get("/timeouts")).trim().split("\n");
    expect(lines.length).toBe(5);
    for (const line of lines.slice(0, 4)) expect(line).toMatch(/^false\|.*must be milliseconds/);
    expect(lines[4]).toBe("nil|timeout|timeout|nil");
  });

  test("a call below a C function is refused, and answers nothing else later", async () => {
    const [refused, , waited] = (await nginx.get("/boundary")).split("\n");
    expect(refused).toMatch(/^nil\|attempt to yield across C-call boundary.*\|wrong_phase\|nil$/);
    expect(waited).toBe("true|its own");
  });

  test("names of methods do not fill the memory", async () => {
    expect(await nginx.get("/names")).toBe("1000 still called\n");
  });

  test("a library that fails to start leaves no descriptor, however often it is tried", async () => {
    const pid = await nginx.get("/pid");
    const descriptors = () => readdirSync(`/proc/${pid}/fd`).length;
    const before = descriptors();
    for (let i = 0; i < 2; i++) {
      expect(await nginx.get("/failing")).toMatch(/^nil\|.*did not start: .*\|load_failed$/);
      // each is freed in an event of its own
      await until(
        () => descriptors() <= before,
        5_000,
        () => `${descriptors()} descriptors are open, ${before} before`,
      );
    }
  });

  test("strings that C would cut short are refused", async () => {
    const lines = (await nginx.get("/nul")).trim().split("\n");
    expect(lines.map((line) => line.replace(/^.*: (?=env: )/, ""))).toEqual([
      "module must not hold NUL bytes",
      "program must not hold NUL bytes",
      "directory must not hold NUL bytes",
      "node_args must not hold NUL bytes",
      "env must not hold NUL bytes",
      "env: bad name",
    ]);
  });
});

describe("a process that misbehaves", () => {
  let prefix: string;

  beforeAll(async () => {
    prefix = await builtOpenresty(anySuite);
  });

  test("one that lets go of the worker is ended before the next is started", async () => {
    const sleeping = `local rt = assert(nffi.load("node", { module = "x.mjs", program = "/bin/sh",
        node_args = { "-c", "exec 3>&- 4>&- 5>&- 6>&- 7>&-; exec sleep 4321" } }))
        ngx.say((select(3, rt:call("x"))))`;
    await withNginx({ prefix, server: content("= /", sleeping) }, async (nginx) => {
      expect(await nginx.get("/")).toBe("runtime_down\n");
      await nginx.waitForLog("it is started again in 800 ms");
      const sleepers = nginx.family().filter(({ pid }) => /sleep/.test(commandLine(pid)));
      expect(sleepers.length).toBeLessThanOrEqual(2);
    });
  });

  test("a syntax error is one line for Lua, and its source is once in error.log", async () => {
    const code = `local rt = assert(nffi.load("node", { module = "bad.ts" }))
      ngx.say((select(2, rt:call("x"))))`;
    const files = { "bad.ts": "export const a = () => {\n  const wrong = ;\n};\n" };
    await withNginx({ prefix, server: content("= /", code), files }, async (nginx) => {
      expect(await nginx.get("/")).toMatch(/ is down: .*\/bad\.ts:2: Expression expected\n$/);
      const log = await nginx.waitForLog("it is started again in 800 ms");
      const count = (text: string) => log.split(text).length - 1;
      expect(count("SyntaxError: ")).toBeGreaterThanOrEqual(3);
      expect(count("const wrong = ;")).toBe(1);
      expect(count("(the rest is as before)")).toBeGreaterThanOrEqual(2);
      expect(log).not.toContain("\\x0a");
    });
  });

  test("a different stack is logged", async () => {
    const code = `local rt = assert(nffi.load("node", { module = "bad.mjs" })) rt:call("x")`;
    const folder = temporaryFolder();
    chmodSync(folder, 0o777); // the worker may be another user
    const bad = `import { existsSync, writeFileSync } from "node:fs";
      const one = () => { throw new Error("1") }, two = () => { throw new Error("2") };
      const flag = "${folder}/flag";
      if (existsSync(flag)) two();
      writeFileSync(flag, "");
      one();`;
    const files = { "bad.mjs": bad };
    await withNginx({ prefix, server: content("= /", code), files }, async (nginx) => {
      await nginx.get("/");
      await nginx.waitForLog("at one");
      await nginx.waitForLog("at two");
    });
  });

  test("loading a module as a library explains how to load it", async () => {
    const code = `ngx.say((select(2, nffi.load("hello.ts"))))`;
    await withNginx({ prefix, server: content("= /", code) }, async (nginx) => {
      expect(await nginx.get("/")).toMatch(/; .*load\("node", \{ module = "hello\.ts" \}\)\n$/);
    });
  });

  test("the reason why a module failed cannot forge a line of error.log", async () => {
    const server = content(
      "= /",
      `local rt = assert(nffi.load("node", { module = "bad.mjs" })) ngx.say((select(3, rt:call("x"))))`,
    );
    const files = { "bad.mjs": `throw new Error("one\\n2026/01/01 00:00:00 [emerg] two");` };
    await withNginx({ prefix, server, files }, async (nginx) => {
      expect(await nginx.get("/")).toBe("runtime_down\n");
      const log = await nginx.waitForLog("it is started again");
      expect(log).not.toMatch(/^2026\/01\/01 00:00:00 \[emerg\]/m);
    });
  });

  test("a worker without free descriptors fails the calls that need one, not the runtime", async () => {
    const code = `
      local rt = assert(nffi.load("node", { module = "big.mjs", arena = 65536 }))
      local pid, files = rt.methods:pid(), {}
      for i = 1, 64 do files[i] = io.open("/dev/null") end
      ngx.say((select(2, rt.methods:big(1000000))))
      ngx.say((select(2, rt.methods:pid(("x"):rep(1000000)))))
      ngx.say((select(2, nffi.load("node", { module = "big.mjs", config = 1 }))))
      ngx.say(rt.methods:pid() == pid)
      for _, file in ipairs(files) do file:close() end
      ngx.say(#rt.methods:big(1000000), " ", rt.methods:pid() == pid)`;
    const files = {
      "big.mjs": 'export const big = (n) => "x".repeat(n);\nexport const pid = () => process.pid;',
    };
    const main = "worker_rlimit_nofile 64;";
    await withNginx({ prefix, server: content("= /", code), files, main }, async (nginx) => {
      expect((await nginx.get("/")).split("\n")).toEqual([
        "the worker has no descriptor, or no memory, free for the response",
        "not enough memory",
        expect.stringMatching(/^no shared memory \(memfd\) for .*Too many open files\)$/),
        "true",
        "1000000 true",
        "",
      ]);
    });
  });

  test("one that cannot be watched is an error of its load, and nothing is left of it", async () => {
    const server = content(
      "= /",
      `local rt, err = nffi.load("node", { module = "hello.mjs" })
       ngx.say(rt and rt.methods:hello() or err)`,
    );
    const folder = temporaryFolder();
    const [source, shim, fail] = ["shim.c", "shim.so", "fail"].map((name) => join(folder, name));
    writeFileSync(`${source}`, SHIM);
    const define = `-DFAIL_FILE="${fail}"`;
    execFileSync("cc", ["-shared", "-fPIC", define, "-o", `${shim}`, `${source}`, "-ldl"]);
    const env = {
      ...(process.env as Record<string, string>),
      LD_PRELOAD: `${shim}`,
      // where nginx runs under it, AddressSanitizer wants to be first, and need not be
      ASAN_OPTIONS: "detect_leaks=0:verify_asan_link_order=0",
    };
    const files = { "hello.mjs": "export const hello = () => 1;" };
    await withNginx({ prefix, files, server, env }, async (nginx) => {
      writeFileSync(`${fail}`, "");
      expect(await nginx.get("/")).toMatch(/cannot be watched/);
      const [worker] = nginx.workers();
      const descriptors = () => readdirSync(`/proc/${worker}/fd`).length;
      const first = descriptors();
      expect(await nginx.get("/")).toMatch(/cannot be watched/);
      expect(descriptors()).toBe(first);
      rmSync(`${fail}`);
      expect(await nginx.get("/")).toBe("1\n");
    });
  });
});

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

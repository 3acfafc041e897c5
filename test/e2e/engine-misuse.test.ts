// Misuse and faults must not crash, stall or leak in a worker: methods called without their
// runtime, odd options, calls where no coroutine can yield, libraries that fail to start, processes
// that close their connection to the worker, an event method that refuses a descriptor.
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

/** Lua that is wrong, and what is raised at its line; `rt`, `old` and `stream` are there. */
const MISUSES: readonly (readonly [string, string])[] = [
  [`rt.methods:hello("v", 500)`, "options must be a table, got number: pass { timeout = 500 }"],
  [`rt.streams:hello("v", 500)`, "options must be a table, got number: pass { timeout = 500 }"],
  [`rt:call("x", "y")`, "options must be a table, got string"],
  [`rt:stream("x", 5)`, "options must be a table, got number: pass { timeout = 5 }"],
  [`rt:call("x", { timout = 500 })`, 'unknown option "timout"; did you mean "timeout"?'],
  [
    `rt:call("x", { timeout = 5, mehtod = "a" })`,
    'unknown option "mehtod"; did you mean "method"?',
  ],
  [`rt.methods:hello("v", { method = "x" })`, 'unknown option "method"'],
  [`rt.streams:hello("v", { windows = 1 })`, 'unknown option "windows"; did you mean "window"?'],
  [`rt:stream("v", { window = 0 })`, "window must be bytes from 1 to 1073741824, got 0"],
  [`rt:call("x", { timeout = "soon" })`, "timeout must be milliseconds, got soon"],
  [`rt.methods:hello("v", { timeout = -1 })`, "timeout must be milliseconds, got -1"],
  [`rt.streams:hello("v", { timeout = -1 })`, "timeout must be milliseconds, got -1"],
  [
    `rt:call({})`,
    'payload must be a string, got table; runtime.methods with codec = "json" sends tables',
  ],
  [
    `rt:stream({})`,
    'payload must be a string, got table; runtime.methods with codec = "json" sends tables',
  ],
  [
    `rt.methods:echo({})`,
    'payload must be a string, got table; runtime.methods with codec = "json" sends tables',
  ],
  [`old:echo(true)`, "payload must be a string, got boolean"],
  [`old(true)`, "payload must be a string, got boolean"],
  [`rt:call("x", { method = 5 })`, "method must be a string of at most 255 bytes, got number"],
  [
    `rt.methods[("x"):rep(256)](rt.methods)`,
    "a method's name must be a string of at most 255 bytes",
  ],
  [`rt.call("x")`, "call it as runtime:call()"],
  [`rt.methods.echo("x")`, "call it as runtime.methods:echo()"],
  [`rt.streams.echo("x")`, "call it as runtime.streams:echo()"],
  [`old.echo("x")`, "call it as runtime:echo()"],
  [`stream.read()`, "call it as stream:read()"],
  [`stream.close()`, "call it as stream:close()"],
  [`stream.error({})`, "call it as stream:error()"],
  [
    `rt:hello("x")`,
    'a runtime has no field "hello"; a method is called as runtime.methods:hello()',
  ],
  [`local _ = rt.method`, 'a runtime has no field "method"; did you mean "methods"?'],
  [`rt:colse()`, 'a runtime has no field "colse"; did you mean "close"?'],
  [`rt:reload({ libary = "x" })`, 'unknown option "libary"; did you mean "library"?'],
  [`rt:reload({ library = 1 })`, "library must be a path, got 1"],
  [`rt:reload("x")`, "options must be a table, got string"],
  [`nffi.load("x", { tiemout = 1 })`, 'unknown option "tiemout"; did you mean "timeout"?'],
  [`nffi.load("node", { modul = "a" })`, 'unknown option "modul"; did you mean "module"?'],
  [`nffi.load("node", { Module = "a" })`, 'unknown option "Module"; did you mean "module"?'],
  [`nffi.load("python", { afinity = 1 })`, 'unknown option "afinity"; did you mean "affinity"?'],
  [`nffi.load("node", { colour = 1 })`, 'unknown option "colour"'],
  [
    `nffi.load("node", { module = "m.mjs", is_global = true })`,
    'unknown option "is_global" of load("node"); it is an option of a native library',
  ],
  [
    `nffi.load("x", { node_args = {} })`,
    'unknown option "node_args" of a native library; it is an option of load("node")',
  ],
  [
    `nffi.load("shop.ts", { module = "shop.ts" })`,
    'unknown option "module" of a native library; it is an option of load("java"), load("node") and load("python"); did you mean load("node")?',
  ],
  [
    `nffi.load("go", { program = "/srv/shop" })`,
    'unknown option "program" of a native library; it is an option of load("java"), load("node"), load("process") and load("python"); a Go program is load("process", { program = "/path" }), a Go library load("/path/of/lib.so")',
  ],
  [
    `nffi.load("Python", { path = "lib" })`,
    'unknown option "path" of a native library; it is an option of load("python"); did you mean load("python")?',
  ],
  [
    `nffi.load("node", "app.ts")`,
    'options must be a table, got string; did you mean { module = "app.ts" }?',
  ],
  [`nffi:load("node")`, "call it as nffi.load(), with a dot"],
  [`nffi.load({})`, "load() requires the name of a language or a library, got table"],
  [`nffi.load("node", {})`, 'load("node") requires { module = "file.ts" }'],
  [`nffi.load("python")`, 'load("python") requires { module = "app.py" }'],
  [`nffi.load("java")`, 'load("java") requires { module = "com.example.App" }'],
  [`nffi.load("process")`, 'load("process") requires { program = "/path/of/program" }'],
  [
    `nffi.load("python", { module = "m", host = "wroker" })`,
    'host must be "process" or "worker", got wroker; did you mean "worker"?',
  ],
  [
    `nffi.load("python", { module = "m", host = "worker", nice = 1 })`,
    'nice is an option of host = "process"',
  ],
  [
    `nffi.load("python", { module = "m", threads = 0 })`,
    "threads must be a whole number from 1 to 1024, got 0",
  ],
  [
    `nffi.load("python", { module = "m", path = { 1, true } })`,
    "path must be a directory or a list of directories, got 1",
  ],
  [
    `nffi.load("java", { module = "m", threads = "virtul" })`,
    'threads must be a whole number from 1 to 10000 or "virtual", got virtul; did you mean "virtual"?',
  ],
  [
    `nffi.load("java", { module = "m", classpath = 1 })`,
    "classpath must be a string or a list, got 1",
  ],
  [
    `nffi.load("node", { module = "m", affinity = "al" })`,
    'affinity must be "all" or "inherit", got al; did you mean "all"?',
  ],
  [
    `nffi.load("node", { module = "m", codec = "jsn" })`,
    'codec must be "json", "raw" or a table with encode and decode, got jsn; did you mean "json"?',
  ],
  [
    `nffi.load("node", limits { memroy = 1 })`,
    'unknown field of limits "memroy"; did you mean "memory"?',
  ],
  [
    `nffi.load("node", limits { files = 1 })`,
    "limits.files must be a whole number from 32 to 9007199254740992, got 1",
  ],
  [`nffi.load("node", limits(1))`, "limits must be a table, got number"],
  [`nffi.load("node", { module = "m", env = 1 })`, "env must be a table, got number"],
  [`nffi.load("node", { module = "m", env = { "x" } })`, "env: invalid name 1"],
  [`nffi.load("node", { module = "m", node_args = "x" })`, "node_args must be a table, got string"],
  [
    `nffi.load("node", { module = "m", processes = 0 })`,
    "processes must be a whole number from 1 to 256, got 0",
  ],
  [
    `nffi.load("node", { module = "m", max_queue = 0 })`,
    "max_queue must be a whole number from 1 to 1048576, got 0",
  ],
  [
    `nffi.load("x", { arena = "big" })`,
    "arena must be a whole number from 1 to 1073741824, got big",
  ],
  [`nffi.load("x", { config = 1 })`, "config must be a string or a table, got number"],
  [`nffi.load("node", { module = "m", inspect = -1 })`, "inspect must be true or a port, got -1"],
  [
    `nffi.metrics("prometeus")`,
    'metrics() expects nothing or "prometheus", got prometeus; did you mean "prometheus"?',
  ],
  [`ngx.load_ffi("x", 1)`, "configuration must be a string, got number"],
  [
    `ngx.load_ffi("x", "", { max_queue = -1 })`,
    "max_queue must be a whole number from 1 to 1048576, got -1",
  ],
];

/** The name that load() gets, and the end of its message. */
const LIBRARIES: readonly (readonly [string, string])[] = [
  ["nodejs", '; did you mean load("node")?'],
  ["Node", '; did you mean load("node")?'],
  ["typescript", '; did you mean load("node")?'],
  ["pyhton", '; did you mean load("python")?'],
  ["proces", '; did you mean load("process")?'],
  ["app.py", '; a module is loaded by load("python", { module = "app.py" })'],
  ["hello.ts", '; a module is loaded by load("node", { module = "hello.ts" })'],
  ["rust", '; a Rust library is load("/path/of/lib.so")'],
  ["postgres", ": No such file or directory"],
];

describe.each(suites)("misuse of a native runtime, %s", (suite) => {
  let nginx: Nginx;
  let echo: string;

  beforeAll(async () => {
    const prefix = await builtOpenresty(suite);
    echo = join(prefix, "nffi/lib/libnffi_echo.so");
    const load = `local rt = assert(nffi.load("${echo}", { config = "4" }))`;
    nginx = await startNginx({
      prefix,
      server: [
        content("= /pid", `ngx.print(ngx.worker.pid())`),
        content(
          "= /lines",
          `${load}
           local old = assert(ngx.load_ffi("${echo}", "1"))
           local stream = rt:stream("x")
           local function limits(of) return { module = "m.mjs", limits = of } end
           local function try(f)
               local ok, err = pcall(f)
               local line = debug.getinfo(f, "S").linedefined
               local at, message = tostring(err):match("^content_by_lua%(nginx.conf:%d+%):(%d+): (.*)")
               ngx.say(tostring(ok), " ", tonumber(at) == line and "here" or at or "nowhere", " ", message)
           end
           ${MISUSES.map(([code]) => `try(function() ${code} end)`).join("\n           ")}`,
        ),
        content(
          "= /libraries",
          `for _, name in ipairs { ${LIBRARIES.map(([name]) => `"${name}"`).join(", ")} } do
               ngx.say((select(2, nffi.load(name))))
           end`,
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

  test("misuse raises at the line of the caller, and names the word that was meant", async () => {
    const lines = (await nginx.get("/lines")).trim().split("\n");
    expect(lines).toEqual(MISUSES.map(([, message]) => `false here ${message}`));
  });

  test("the name of a language that is almost right is suggested", async () => {
    const lines = (await nginx.get("/libraries")).trim().split("\n");
    expect(lines.length).toBe(LIBRARIES.length);
    for (const [i, [, end]] of LIBRARIES.entries()) {
      expect(lines[i]).toMatch(/cannot open shared object file/);
      expect(lines[i]?.endsWith(end) ? end : lines[i]).toBe(end);
    }
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
    expect(lines[4]).toBe(
      `nil|method "sleep": the runtime "libnffi_echo.so" has not responded within 1 ms|timeout|nil`,
    );
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
      // each is freed in a separate event
      await until(
        () => descriptors() <= before,
        5_000,
        () => `${descriptors()} descriptors are open, ${before} before`,
      );
    }
  });

  test("strings that C would cut short are refused", async () => {
    const lines = (await nginx.get("/nul")).trim().split("\n");
    expect(lines.map((line) => line.replace(/^content_by_lua\(.*?\):\d+: /, ""))).toEqual([
      "module must not contain NUL bytes",
      "program must not contain NUL bytes",
      "directory must not contain NUL bytes",
      "node_args must not contain NUL bytes",
      "env must not contain NUL bytes",
      "env: invalid name",
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

  test("a syntax error is one line for Lua; error.log has it once, then a line for each try", async () => {
    const code = `local rt = assert(nffi.load("node", { module = "bad.ts" }))
      ngx.say((select(2, rt.methods:hello())))`;
    const files = { "bad.ts": "export const a = () => {\n  const wrong = ;\n};\n" };
    await withNginx({ prefix, server: content("= /", code), files }, async (nginx) => {
      expect(await nginx.get("/")).toMatch(
        /^method "hello": the runtime "bad.ts" is down: .*\/bad\.ts:2: Expression expected\n$/,
      );
      const log = await nginx.waitForLog("it is started again in 800 ms");
      const ours = log
        .split("\n")
        .filter((line) => line.includes("bad.ts") && !/\[info\]/.test(line));
      const again = ours.findIndex((line) => line.includes("it is started again"));
      expect(ours[again]).toMatch(/\/bad\.ts:2: Expression expected; it is .* 100 ms$/);
      expect(log.match(/SyntaxError: /g)?.length).toBe(1);
      expect(log.match(/const wrong = ;/g)?.length).toBe(1);
      expect(ours.slice(again + 1).map((line) => line.replace(/^.*?nffi: /, ""))).toEqual(
        [200, 400, 800].map((delay) =>
          expect.stringMatching(
            `^runtime "bad.ts": its process \\d+ cannot start, for the same reason; it is started again in ${delay} ms`,
          ),
        ),
      );
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
      // under AddressSanitizer: it normally must be loaded first, which is not necessary here
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

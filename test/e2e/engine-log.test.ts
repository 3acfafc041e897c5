// Output of runtimes in error.log: messages with the request they belong to, lines of a process,
// floods of both, and reopening the log.
import { renameSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { content } from "../support/lua.js";
import { type Nginx, startNginx, until } from "../support/nginx.js";
import { builtOpenresty, suites } from "../support/openresty.js";

const MODULE = `
import { setTimeout } from "node:timers/promises";
export const log = (text: string, { log }: any) => {
  log.error("e", text); log.warn("w", text); log.notice("n", text); log.info("i", text);
  log.debug("d", text);
};
export const late = (text: string, { log }: any) => { setTimeout(100).then(() => log.warn(text)); };
export async function* stream(_: unknown, { log }: any) { log.warn("before"); yield 1; log.warn("after"); }
export const flood = (times: number, { log }: any) => { for (let i = 0; i < times; i++) log.warn("flood", i); };
export const print = (times: number) => { for (let i = 0; i < times; i++) console.log("printed", i); };
export const say = (text: string) => console.warn(text);
`;

const TWIN = `
export const say = (_, { config }) => console.log("printed by", config);
export const log = (_, { log, config }) => log.warn("logged by", config);
export const exit = () => process.exit(3);
`;

const REASONS = {
  go: `panic: boom

goroutine 17 [running]:
main.main.func1()
\t/src/main.go:9 +0x25
created by main.main in goroutine 1
\t/src/main.go:8 +0x1a
exit status 2`,
  "go-fatal": `fatal error: concurrent map writes
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x45d8e4]

goroutine 18 [running]:
main.(*Shop).write(0xc000012345, {0x1, 0x2})
\t/src/main.go:9 +0x25

goroutine 1 [chan receive]:
main.main()
\t/src/main.go:12 +0x5f
rax    0x0
r15    0xc00000`,
  python: `Traceback (most recent call last):
  File "/srv/app.py", line 3, in <module>
    import nothing
ModuleNotFoundError: No module named 'nothing'`,
  "python-fatal": `Fatal Python error: Segmentation fault

Current thread 0x00007f41 (most recent call first):
  File "/srv/app.py", line 4 in crash

Extension modules: numpy.core (total: 1)`,
  java: `Exception in thread "main" java.lang.IllegalStateException: no port
\tat com.example.App.main(App.java:3)`,
  "java-memory": `OUT:#
OUT:# There is insufficient memory for the Java Runtime Environment to continue.
OUT:# /tmp/hs_err_pid29445.log`,
  c: "runtime.c:10: main: Assertion `size > 0' failed.",
  "c-heap": "free(): invalid pointer",
  cpp: `terminate called after throwing an instance of 'std::runtime_error'
  what():  no port`,
  node: `
  #  node[12]: Start() at ../src/node_platform.cc:68
  #  Assertion failed: (0) == (uv_thread_create(t.get(), start_thread, this))

----- Native stack trace -----

 1: 0xcb5167 node::Assert(node::AssertionInfo const&) [node]
10: 0x195e476 [node]`,
  rust: `thread 'main' panicked at src/main.rs:2:5:
no port
stack backtrace:
   0: rust_begin_unwind
             at /rustc/library/std/src/panicking.rs:697:5
note: Some details are omitted`,
  sanitizer: `==12==ERROR: AddressSanitizer: heap-use-after-free on address 0x602 at pc 0x5
READ of size 1 at 0x602 thread T0
    #0 0x55 in main /src/a.c:5
SUMMARY: AddressSanitizer: heap-use-after-free /src/a.c:5 in main
Shadow bytes around the buggy address:
=>0x0c04: fa fa
==12==ABORTING`,
};

const SERVER = [
  content(
    "= /native",
    `local rt = assert(nffi.load("@ECHO@", { config = "2" }))
     rt:call(ngx.unescape_uri(ngx.var.arg_v), { method = ngx.var.arg_m or "log" }) ngx.say("ok")`,
  ),
  content(
    "= /subrequest",
    `ngx.say(ngx.location.capture("/native", { args = { v = "1 inside" } }).body)`,
  ),
  content(
    "= /timer",
    `local rt = assert(nffi.load("@ECHO@", { config = "2" }))
     ngx.timer.at(0, function() rt:call("1 from a timer", { method = "log" }) end) ngx.say("ok")`,
  ),
  content(
    "= /sleep",
    `local rt = assert(nffi.load("@ECHO@", { config = ngx.var.arg_threads }))
     ngx.say(rt:call(ngx.var.arg_ms, { method = "sleep" }))`,
  ),
  content(
    "= /node",
    `local rt = assert(nffi.load("node", { module = "log.ts" }))
     local value = ngx.unescape_uri(ngx.var.arg_v)
     ngx.say(show(rt.methods[ngx.var.arg_m](rt.methods, tonumber(value) or value)))`,
  ),
  content(
    "= /twins",
    `local ids, twins = {}, {}
     for i, config in ipairs({ "one", "two" }) do
         twins[i] = assert(nffi.load("node", { module = "twin.mjs", config = config }))
     end
     for _, rt in ipairs(twins) do rt.methods:say() rt.methods:log() end
     for _, runtime in ipairs(nffi.metrics().runtimes) do
         if runtime.name == "twin.mjs" then ids[#ids + 1] = runtime.id end
     end
     ngx.print(table.concat(ids, " "))`,
  ),
  content(
    "= /end",
    `local rt = assert(nffi.load("process", { program = "/bin/sh", args = { "-c",
         'grep -v OUT: "$0"/' .. ngx.var.arg_how .. '.end >&2; sed -n s/OUT://p "$0"/' .. ngx.var.arg_how .. '.end; exit 2',
         ngx.config.prefix() } }))
     local _, why = rt:call("")
     rt:close()
     ngx.say(why)`,
  ),
  content(
    "= /twins-end",
    `for _, config in ipairs({ "one", "two" }) do
         local rt = assert(nffi.load("node", { module = "twin.mjs", config = config }))
         ngx.say((select(2, rt.methods:exit())))
         rt:close()
     end`,
  ),
  content(
    "= /node-stream",
    `local rt = assert(nffi.load("node", { module = "log.ts" }))
     for n in rt.streams:stream() do ngx.say(n) end`,
  ),
].join("\n");

const escaped = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

describe.each(suites)("the log, %s", (suite) => {
  let nginx: Nginx;

  beforeAll(async () => {
    const prefix = await builtOpenresty(suite);
    const echo = join(prefix, "nffi/lib/libnffi_echo.so");
    nginx = await startNginx({
      prefix,
      files: {
        "log.ts": MODULE,
        "twin.mjs": TWIN,
        ...Object.fromEntries(Object.entries(REASONS).map(([name, text]) => [`${name}.end`, text])),
      },
      server: SERVER.replaceAll("@ECHO@", echo),
    });
  });

  afterAll(async () => {
    await nginx?.stop({ signal: "SIGQUIT" });
  });

  /** The lines of error.log that hold a text, once there is one. */
  async function lines(text: string): Promise<string[]> {
    const log = await nginx.waitForLog(text);
    return log.split("\n").filter((line) => line.includes(text));
  }

  test("a library that takes no call for 5 s is logged once, one that has none to take is not", async () => {
    const sleep = (threads: number, ms: number) => nginx.get(`/sleep?threads=${threads}&ms=${ms}`);
    await sleep(3, 1);
    const stalled = [sleep(1, 7000)];
    await new Promise((done) => setTimeout(done, 200));
    stalled.push(sleep(1, 1), sleep(1, 1));
    await nginx.waitForLog("has taken no call");
    // it had nothing to do for longer than that
    await sleep(3, 1500);
    await Promise.all(stalled);
    await nginx.waitForLog(
      /runtime "libnffi_echo\.so \(id \w+\)" takes calls again, after [67]\d{3} ms/,
    );
    const [line = "", ...more] = await lines("has taken no call");
    expect(line).toMatch(
      /\[warn\] .*: nffi: runtime "libnffi_echo\.so \(id \w+\)" has taken no call for [56]\d{3} ms: 2 calls wait, 1 runs;/,
    );
    expect(more).toEqual([]);
  });

  test("a message carries its request, level and runtime", async () => {
    await nginx.get("/native?v=1%20hello%20there");
    const [line] = await lines("hello there");
    expect(line).toMatch(
      /\[warn\] .*nffi: \[libnffi_echo\.so \(id \w+\)\] hello there, client: 127\.0\.0\.1, .*request: "GET \/native/,
    );
  });

  test("a message of a subrequest or a timer has their context", async () => {
    await nginx.get("/subrequest");
    expect((await lines("] inside"))[0]).toMatch(/subrequest: "\/native"/);
    await nginx.get("/timer");
    expect((await lines("from a timer"))[0]).toMatch(/context: ngx\.timer/);
  });

  test("a message of a call that has ended has no request", async () => {
    await nginx.get("/native?v=1%20too%20late&m=log-late");
    expect((await lines("too late"))[0]).not.toContain("client:");
  });

  test("a message cannot forge a line", async () => {
    await nginx.get("/native?v=1%20one%0Atwo%1B[31m");
    const [one] = await lines("] one");
    const [two] = await lines("] two");
    expect(one).toMatch(/\] one, client:/);
    expect(two).toMatch(/\] two\\x1b\[31m, client:/);
  });

  test("context.log in TypeScript does the same, with its levels", async () => {
    await nginx.get("/node?m=log&v=teatime");
    const found = await lines("teatime");
    expect(
      found.map((line) => /\[(\w+)\] .*\[log\.ts\] (\w) teatime, client/.exec(line)?.slice(1)),
    ).toEqual([
      ["error", "e"],
      ["warn", "w"],
      ["notice", "n"],
      ["info", "i"],
    ]);
    await nginx.get("/node?m=late&v=belated");
    expect((await lines("belated"))[0]).not.toContain("client:");
    expect(await nginx.get("/node-stream")).toBe("1\n");
    expect((await lines("] before"))[0]).toContain('"GET /node-stream');
    expect((await lines("] after"))[0]).toContain('"GET /node-stream');
  });

  test.each([
    ["messages of a native runtime", "/native?v=200000%20deluge", "deluge"],
    ["messages of a process", "/node?m=flood&v=100000", "flood"],
    ["output of a process", "/node?m=print&v=100000", "printed"],
  ])("a flood of %s is cut, and the log says so", async (_, path, text) => {
    const before = nginx.errorLog().length;
    const tail = () => nginx.errorLog().slice(before);
    await nginx.get(path);
    await until(
      () => /\d+ lines were dropped: more than 1000 in a second/.test(tail()),
      10_000,
      () => `nothing is told:\n${tail().slice(-2000)}`,
    );
    // no call is delayed, and the counts in the log add up
    await nginx.get("/node?m=say&v=alive");
    const kept = tail().split(`] ${text}`).length - 1;
    expect(kept).toBeGreaterThan(100);
    expect(kept).toBeLessThan(20_000);
    const told = [...tail().matchAll(/ (\d+) lines were dropped/g)];
    const dropped = told.reduce((sum, match) => sum + Number(match[1]), 0);
    await until(
      () => {
        const all = [...tail().matchAll(/ (\d+) lines were dropped/g)];
        const sum = all.reduce((total, match) => total + Number(match[1]), 0);
        return (
          sum + tail().split(`] ${text}`).length - 1 ===
          (path.includes("200000") ? 200_000 : 100_000)
        );
      },
      10_000,
      () => `kept ${kept} and dropped ${dropped}`,
    );
    // the next second is a new one
    await nginx.get(`/node?m=say&v=after%20the%20flood%20of%20${text}`);
    await nginx.waitForLog(`after the flood of ${text}`);
  });

  test("two runtimes of one name have the ids of their metrics", async () => {
    const ids = (await nginx.get("/twins")).split(" ");
    expect(new Set(ids).size).toBe(2);
    await nginx.get("/twins-end");
    for (const [i, twin] of ["one", "two"].entries()) {
      const name = `twin.mjs (id ${ids[i]})`;
      expect(await lines(`printed by ${twin}`)).toEqual([
        expect.stringContaining(`nffi: [${name}] printed by ${twin}`),
      ]);
      expect((await lines(`logged by ${twin}`))[0]).toContain(`nffi: [${name}] logged by`);
      await nginx.waitForLog(`runtime "${name}": its process`);
    }
    expect(nginx.errorLog()).toContain('runtime "log.ts": process');
  });

  test.each([
    ["go", "panic: boom"],
    ["go-fatal", "fatal error: concurrent map writes"],
    ["python", "ModuleNotFoundError: No module named 'nothing'"],
    ["python-fatal", "Fatal Python error: Segmentation fault"],
    ["java", 'Exception in thread "main" java.lang.IllegalStateException: no port'],
    ["java-memory", "There is insufficient memory for the Java Runtime Environment to continue."],
    ["c", "runtime.c:10: main: Assertion `size > 0' failed."],
    ["c-heap", "free(): invalid pointer"],
    ["cpp", "terminate called after throwing an instance of 'std::runtime_error': no port"],
    ["node", "Assertion failed: (0) == (uv_thread_create(t.get(), start_thread, this))"],
    ["rust", "no port"],
    ["sanitizer", "SUMMARY: AddressSanitizer: heap-use-after-free /src/a.c:5 in main"],
  ])("the reason of an end is the line that names it: %s", async (name, reason) => {
    expect(await nginx.get(`/end?how=${name}`)).toMatch(
      new RegExp(
        `^the runtime ".*" is down: its process \\d+ ended with code 2: ${escaped(reason)}\n$`,
      ),
    );
  });

  test("SIGUSR1 reopens the log for messages and output alike", async () => {
    const log = join(nginx.dir, "logs/error.log");
    renameSync(log, `${log}.1`);
    nginx.signal("SIGUSR1");
    await until(
      async () => {
        await nginx.get("/native?v=1%20reopened");
        await nginx.get("/node?m=say&v=reprinted");
        const text = nginx.errorLog();
        return text.includes("] reopened, client:") && text.includes("] reprinted");
      },
      10_000,
      () => "nothing in the new log",
    );
  });
});

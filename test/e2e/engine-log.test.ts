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
    "= /node-stream",
    `local rt = assert(nffi.load("node", { module = "log.ts" }))
     for n in rt.streams:stream() do ngx.say(n) end`,
  ),
].join("\n");

describe.each(suites)("the log, %s", (suite) => {
  let nginx: Nginx;

  beforeAll(async () => {
    const prefix = await builtOpenresty(suite);
    const echo = join(prefix, "nffi/lib/libnffi_echo.so");
    nginx = await startNginx({
      prefix,
      files: { "log.ts": MODULE },
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
    await nginx.waitForLog(/runtime ".*libnffi_echo\.so" takes calls again, after [67]\d{3} ms/);
    const [line = "", ...more] = await lines("has taken no call");
    expect(line).toMatch(
      /\[warn\] .*: nffi: runtime ".*libnffi_echo\.so" has taken no call for [56]\d{3} ms: 2 calls wait, 1 run;/,
    );
    expect(more).toEqual([]);
  });

  test("a message carries its request, level and runtime", async () => {
    await nginx.get("/native?v=1%20hello%20there");
    const [line] = await lines("hello there");
    expect(line).toMatch(
      /\[warn\] .*nffi: \[.*libnffi_echo\.so\] hello there, client: 127\.0\.0\.1, .*request: "GET \/native/,
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
    await nginx.get("/node?m=say&v=after%20the%20flood%20of%20" + text);
    await nginx.waitForLog(`after the flood of ${text}`);
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

// A pool of worker threads in the Node process of a real nginx: work that keeps CPUs busy, and a
// thread that ends.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { content } from "../../support/lua.js";
import { type Nginx, startNginx, until } from "../../support/nginx.js";
import { builtOpenresty, suites } from "../../support/openresty.js";

const MODULE = `
import { threadId } from "node:worker_threads";
export const where = () => threadId;
export const pid = () => process.pid;
export const hello = (name: string) => "hello " + name;
export const computes = (ms: number) => {
  for (const end = Date.now() + ms; Date.now() < end;);
  return threadId;
};
export const later = async (ms: number) => { await new Promise((done) => setTimeout(done, ms)); return "later"; };
export const exits = (code: number) => process.exit(code);
export const uncaught = () => { setTimeout(() => { throw new Error("nobody caught this"); }); return new Promise(() => {}); };
export const unhandled = () => { Promise.reject(new Error("nobody listened")); return new Promise(() => {}); };
export const ticks = async function* (count: number) { for (let at = 0; at < count; at++) yield at; };
`;

const SERVER = `${content(
  "= /call",
  `local rt = assert(nffi.load("node", { module = "main.ts", threads = 3 }))
   ngx.say(show(rt.methods[ngx.var.arg_m](rt.methods, tonumber(ngx.var.arg_v) or ngx.var.arg_v)))`,
)}
${content(
  "= /ticks",
  `local rt = assert(nffi.load("node", { module = "main.ts", threads = 3 }))
   for tick in rt.streams:ticks(tonumber(ngx.var.arg_v)) do ngx.print(tick, " ") end`,
)}
${content(
  "= /refused",
  `ngx.say(show(pcall(nffi.load, "node", { module = "main.ts", threads = tonumber(ngx.var.arg_v) })))`,
)}`;

describe.each(suites)("threads of a TypeScript runtime, %s", (suite) => {
  let nginx: Nginx;

  beforeAll(async () => {
    const prefix = await builtOpenresty(suite);
    nginx = await startNginx({ prefix, files: { "main.ts": MODULE }, server: SERVER });
  });

  afterAll(async () => {
    await nginx?.stop({ signal: "SIGQUIT" });
  });

  const call = async (method: string, value: string | number = "") =>
    (await nginx.get(`/call?m=${method}&v=${value}`)).trim();

  test("calls that compute run in several of them, and others are served", async () => {
    expect(await call("hello", "Lua")).toBe("hello Lua");
    const order: string[] = [];
    const computing = Promise.all([call("computes", 1500), call("computes", 1500)]).then((all) => {
      order.push("computed");
      return all;
    });
    expect(await call("hello", "World")).toBe("hello World");
    order.push("hello");
    const threads = await computing;
    expect(order).toEqual(["hello", "computed"]);
    expect(new Set(threads).size).toBe(2);
    expect(threads).not.toContain("0");
  });

  test("a stream has all its chunks in order", async () => {
    const numbers = Array.from({ length: 500 }, (_, at) => `${at} `);
    expect(await nginx.get("/ticks?v=500")).toBe(numbers.join(""));
  });

  test.each([
    ["exits", 3, /thread \d ended: process\.exit\(3\) was called\|runtime_error/],
    ["uncaught", "", /thread \d ended: uncaught: nobody caught this\|runtime_error/],
    ["unhandled", "", /ended: unhandled promise rejection: nobody listened\|/],
  ])(
    "%s: the calls of that thread fail with the reason, and it is replaced",
    async (method, value, reason) => {
      const pid = await call("pid");
      const before = nginx.errorLog().split("was started again").length;
      expect(await call(method, value)).toMatch(reason);
      expect(await call("hello", "still")).toBe("hello still");
      await until(
        () => nginx.errorLog().split("was started again").length > before,
        10_000,
        () => "no thread was started again",
      );
      expect(await call("pid")).toBe(pid);
    },
  );

  test("the log names the place in the TypeScript of what a thread did not catch", async () => {
    expect(await nginx.waitForLog("nobody caught this")).toMatch(
      /\[error\] .*\[main\.ts\] thread \d: uncaught: Error: nobody caught this/,
    );
    expect(nginx.errorLog()).toMatch(/at Timeout\.\S+ \(.*main\.ts:12:\d+\)/);
  });

  test.each([0, 1.5, 257])("threads = %s is refused", async (value) => {
    expect(await nginx.get(`/refused?v=${value}`)).toMatch(
      /^false\|.*threads must be a whole number from 1 to 256, got /,
    );
  });

  test("a reload answers the calls under way", async () => {
    const slow = call("later", 800);
    const computing = call("computes", 800);
    await call("hello", "before");
    await nginx.reload();
    expect(await slow).toBe("later");
    expect(await computing).toMatch(/^\d+$/);
  });
});

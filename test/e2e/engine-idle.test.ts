// Processes that start with the first call, and stop when there are no calls: the next call starts
// them, and no call is lost when it meets the stop.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { content } from "../support/lua.js";
import { nativeProgram } from "../support/native-runtime.js";
import { type Nginx, startNginx, until } from "../support/nginx.js";
import { anySuite, builtOpenresty } from "../support/openresty.js";
import { runtimesOf } from "../support/processes.js";

interface Runtime {
  kind: string;
  idle_stops: number;
  restarts: number;
  errors: Record<string, number>;
  processes: { pid?: number; state: string; restarts: number; shared_bytes: number }[];
}

const MODULE = `
export const pid = () => process.pid;
export const slow = (ms: number) => new Promise((done) => setTimeout(() => done(process.pid), ms));
export const count = async function* (n: number) {
  for (let i = 0; i < n; i++) { yield i; await new Promise((done) => setTimeout(done, 100)); }
};
export const exit = () => process.exit(3);
`;

describe("processes without calls", () => {
  let nginx: Nginx;

  const lazy = `{ module = "module.ts", config = "lazy", start = "first_call", processes = 2 }`;
  const idle = `{ module = "module.ts", config = "idle", idle_timeout = 400 }`;
  const late = `{ module = "late.ts", start = "first_call", idle_timeout = 400 }`;

  beforeAll(async () => {
    const prefix = await builtOpenresty(anySuite);
    const { program } = nativeProgram(prefix, "test/fixtures/runtimes/brief.c");
    const call = (name: string, options: string) =>
      content(
        `= /${name}`,
        `local rt = assert(nffi.load("node", ${options}))
         local method = ngx.var.arg_m
         if not method then return ngx.say("loaded") end
         if method == "count" then
             local stream, n = assert(rt.streams:count(tonumber(ngx.var.arg_v))), 0
             for value in stream do n = n + 1 end
             return ngx.say(n)
         end
         ngx.say(show(rt.methods[method](rt.methods, tonumber(ngx.var.arg_v))))`,
      );
    const server = [
      call("lazy", lazy),
      call("idle", idle),
      content(
        "= /reload",
        `local rt = assert(nffi.load("node", ${lazy})) ngx.say(show(rt:reload()))`,
      ),
      content(
        "= /reload-idle",
        `local rt = assert(nffi.load("node", ${late})) ngx.say(show(rt:reload()))`,
      ),
      content("= /close", `nffi.load("node", ${lazy}):close()`),
      content(
        "= /broken",
        `local rt = assert(nffi.load("process", { program = "/none", start = "first_call" }))
         ngx.say(show(rt:call("x")))`,
      ),
      content(
        "= /meet",
        `local rt = assert(nffi.load("process", { program = "${program}", idle_timeout = 100, processes = 2 }))
         local failed = {}
         for i = 1, 60 do
             ngx.sleep((95 + i % 41) / 1000)
             local result, err = rt:call("x" .. i)
             if result ~= "x" .. i then failed[#failed + 1] = err end
         end
         ngx.say(#failed, " failed ", failed[1] or "")`,
      ),
      content(
        "= /metrics",
        `local runtimes = nffi.metrics().runtimes
         for _, rt in ipairs(runtimes) do rt.wait, rt.run = nil end
         ngx.print(require("cjson").encode(runtimes))`,
      ),
      content("= /text", `ngx.print(nffi.metrics("prometheus"))`),
    ];
    // a start that takes longer than the time between two checks
    const files = {
      "module.ts": MODULE,
      "late.ts": `await new Promise((done) => setTimeout(done, 500));\n${MODULE}`,
    };
    nginx = await startNginx({ prefix, files, server: server.join("\n"), logLevel: "info" });
  });

  afterAll(async () => {
    await nginx?.stop();
  });

  /** The runtime that was loaded last, or before. */
  async function runtime(index: number): Promise<Runtime> {
    const all = JSON.parse(await nginx.get("/metrics")) as Runtime[];
    const found = all[index];
    if (!found) throw new Error(`${all.length} runtimes`);
    return found;
  }

  const states = async (index: number) =>
    (await runtime(index)).processes.map(({ state }) => state).sort();

  const processes = () => nginx.workers().flatMap((worker) => runtimesOf(worker));

  test("start = first_call: load() starts none, the first call all of them", async () => {
    expect(await nginx.get("/lazy")).toBe("loaded\n");
    await new Promise((done) => setTimeout(done, 200));
    expect(processes()).toEqual([]);
    expect(await states(0)).toEqual(["idle", "idle"]);
    expect((await runtime(0)).processes[0]?.shared_bytes).toBe(0);
    const pid = Number(await nginx.get("/lazy?m=pid"));
    expect(processes()).toContain(pid);
    await until(
      async () => (await states(0)).join() === "ready,ready",
      10_000,
      () => "not all of them start",
    );
    expect(await nginx.get("/text")).toMatch(/nffi_processes\{.*state="idle"\} 0/);
    // a reload and a close work as for others
    expect(await nginx.get("/reload")).toBe("true\n");
    expect(Number(await nginx.get("/lazy?m=pid"))).not.toBe(pid);
    await nginx.get("/close");
    await until(
      () => processes().length === 0,
      10_000,
      () => "not closed",
    );
    expect(await nginx.get("/lazy")).toBe("loaded\n");
    await nginx.get("/close");
  });

  test("a program that cannot be started fails the first call with the reason", async () => {
    expect(await nginx.get("/broken")).toMatch(/^nil\|.*"?\/none.*\|(load_failed|no_program)/);
  });

  test("idle_timeout: no process without calls; the next call starts one", async () => {
    const first = Number(await nginx.get("/idle?m=pid"));
    const index = (JSON.parse(await nginx.get("/metrics")) as Runtime[]).length - 1;
    // neither a running call nor a stream is stopped
    expect(Number(await nginx.get("/idle?m=slow&v=1500"))).toBe(first);
    expect(await nginx.get("/idle?m=count&v=12")).toBe("12\n");
    expect(Number(await nginx.get("/idle?m=pid"))).toBe(first);
    expect((await runtime(index)).idle_stops).toBe(0);
    await until(
      () => !processes().includes(first),
      5_000,
      () => "it does not stop",
    );
    expect(await states(index)).toEqual(["idle"]);
    expect(await nginx.get("/text")).toMatch(/nffi_idle_stops_total\{.*runtime="module.ts".*\} 1/);
    expect(nginx.errorLog()).toMatch(/\[info\].*had no call for its idle_timeout \(400 ms\)/);
    const second = Number(await nginx.get("/idle?m=pid"));
    expect(second).toBeGreaterThan(0);
    expect(second).not.toBe(first);
    // one that dies is started again, and its restarts are remembered
    expect(await nginx.get("/idle?m=exit")).toMatch(/runtime_down/);
    await until(
      async () => (await states(index)).join() === "idle",
      5_000,
      () => "it does not stop after a restart",
    );
    expect(await runtime(index)).toMatchObject({ idle_stops: 2, restarts: 1 });
    expect((await runtime(index)).processes).toMatchObject([{ restarts: 1 }]);
    expect(Number(await nginx.get("/idle?m=pid"))).toBeGreaterThan(0);
  });

  test("a reload of an idle runtime starts it, and it stops again", async () => {
    expect(await nginx.get("/reload-idle")).toBe("true\n");
    const index = (JSON.parse(await nginx.get("/metrics")) as Runtime[]).length - 1;
    expect(await states(index)).toContain("ready");
    await until(
      async () => (await states(index)).join() === "idle",
      5_000,
      () => "it does not stop after a reload",
    );
    expect((await runtime(index)).idle_stops).toBe(1);
  });

  test("no call is lost when it meets the stop", async () => {
    expect(await nginx.get("/meet")).toBe("0 failed \n");
    const all = JSON.parse(await nginx.get("/metrics")) as Runtime[];
    const stops = Math.max(...all.map(({ idle_stops }) => idle_stops));
    expect(stops).toBeGreaterThan(5);
    expect(nginx.errorLog()).not.toMatch(/\[(error|alert|emerg)\].*brief/);
  });
});

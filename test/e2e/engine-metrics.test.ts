// The metrics of a worker's calls: each number is changed on purpose in a real nginx, and read as a
// table and as Prometheus's text.
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { content } from "../support/lua.js";
import { nativeRuntime } from "../support/native-runtime.js";
import { type Nginx, startNginx, until, withNginx } from "../support/nginx.js";
import { anySuite, builtOpenresty } from "../support/openresty.js";
import { type Family, parsePrometheus, sampleValue } from "../support/prometheus.js";

interface Histogram {
  count: number;
  sum: number;
  buckets: { le: number | "inf"; count: number }[];
}

interface Runtime {
  name: string;
  id: string;
  kind: string;
  calls: number;
  answers: number;
  timeouts: number;
  cancelled: number;
  restarts: number;
  idle_stops: number;
  queued: number;
  unanswered: number;
  awaited: number;
  bytes: number;
  shared_bytes: number;
  errors: Record<string, number>;
  rejected: Record<string, number>;
  wait: Histogram;
  run: Histogram;
  processes: { pid?: number; state: string; restarts: number; queued: number }[];
}

const HELLO = `
export const hello = () => "hello";
export const boom = () => { throw new Error("no luck"); };
export const later = async (ms: number) => { await new Promise((done) => setTimeout(done, ms)); return ms; };
export const exit = () => process.exit(3);
`;

/** A separate runtime for each test, with `lib` as its config, so that tests share no counters. */
const CALL = content(
  "= /call",
  `local rt = assert(nffi.load("@WITNESS@",
       { config = ngx.var.arg_c, max_queue = tonumber(ngx.var.arg_max) }))
   local method, bytes = ngx.unescape_uri(ngx.var.arg_v):match("^(%w+) ?(.*)$")
   ngx.say(show(rt:call(bytes, { method = method, timeout = tonumber(ngx.var.arg_t) })))`,
);

const NODE = content(
  "= /node",
  `local rt = assert(nffi.load("node", { module = "hello.ts", config = ngx.var.arg_c }))
   ngx.say(show(rt.methods[ngx.var.arg_m](rt.methods, tonumber(ngx.var.arg_v), { timeout = tonumber(ngx.var.arg_t) })))`,
);

const TABLE = content(
  "= /table",
  `local metrics = nffi.metrics()
   for _, runtime in ipairs(metrics.runtimes) do
       runtime.wait.buckets[28].le = "inf"
       runtime.run.buckets[28].le = "inf"
   end
   ngx.print(require("cjson").encode(metrics))`,
);

const TEXT = content("= /metrics", `ngx.print(nffi.metrics("prometheus"))`);

const HTTP = "lua_check_client_abort on;";

/** Every call ended in one way, or is still awaited. */
function expectAllAccountedFor(runtime: Runtime): void {
  const sum = (codes: Record<string, number>) => Object.values(codes).reduce((a, b) => a + b, 0);
  const { answers, timeouts, cancelled, awaited } = runtime;
  const ends = answers + timeouts + cancelled + awaited + sum(runtime.errors);
  expect(ends + sum(runtime.rejected)).toBe(runtime.calls);
}

describe("metrics", () => {
  let nginx: Nginx;
  let prefix: string;
  let server: string;
  let witness: string;
  const folder = mkdtempSync(join(tmpdir(), "nffi-metrics-"));

  beforeAll(async () => {
    prefix = await builtOpenresty(anySuite);
    chmodSync(folder, 0o755); // workers run as another user
    witness = nativeRuntime(prefix, "witness");
    server = [CALL, NODE, TABLE, TEXT].join("\n").replaceAll("@WITNESS@", witness);
    nginx = await startNginx({ prefix, files: { "hello.ts": HELLO }, http: HTTP, server });
  });

  afterAll(async () => {
    await nginx?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const ids = new Map<string, string>();

  /** The one runtime that `act` has made, or used before under the same name. */
  async function runtimeOf(config: string, of: Nginx = nginx): Promise<Runtime> {
    const { runtimes } = JSON.parse(await of.get("/table")) as { runtimes: Runtime[] };
    const known = ids.get(config);
    const found = known
      ? runtimes.filter(({ id }) => id === known)
      : runtimes.filter(({ id }) => ![...ids.values()].includes(id));
    const [runtime] = found;
    if (found.length !== 1 || !runtime) throw new Error(`${found.length} runtimes for ${config}`);
    ids.set(config, runtime.id);
    return runtime;
  }

  const call = (config: string, value: string, more = "") =>
    nginx.get(`/call?c=${config}&v=${encodeURIComponent(value)}${more}`);

  test("counts calls, answers, and how long each waited and ran", async () => {
    for (let i = 0; i < 5; i++) await call("a", `mark ${i}`);
    const slow = call("a", "block 100");
    await slow;
    const runtime = await runtimeOf("a");
    expect(runtime).toMatchObject({ kind: "library", calls: 6, answers: 6, awaited: 0 });
    expect(runtime.wait.count).toBe(6);
    expect(runtime.run.count).toBe(6);
    expect(runtime.run.sum).toBeGreaterThan(0.1);
    expect(runtime.run.sum).toBeLessThan(5);
    // one call took a tenth of a second, the others did not
    const below = runtime.run.buckets.find(({ le }) => le !== "inf" && le > 0.06)?.count;
    expect(below).toBe(5);
    expect(runtime.run.buckets.at(-1)).toEqual({ le: "inf", count: 6 });
    expectAllAccountedFor(runtime);
  });

  test("what waits is queued, what was taken is unanswered", async () => {
    await call("q", "mark x");
    const block = call("q", "block 1500");
    let seen: Runtime | undefined;
    await until(
      async () => {
        seen = await runtimeOf("q");
        return seen.unanswered === 1 && seen.queued === 0;
      },
      5_000,
      () => `not taken: ${JSON.stringify(seen)}`,
    );
    const waiting = [call("q", "mark a"), call("q", "mark b")];
    await until(
      async () => {
        seen = await runtimeOf("q");
        return seen.queued === 2;
      },
      5_000,
      () => `not queued: ${JSON.stringify(seen)}`,
    );
    expect(seen).toMatchObject({ unanswered: 3, awaited: 3, bytes: 9 + 5 + 5 });
    await Promise.all([block, ...waiting]);
    const after = await runtimeOf("q");
    expect(after).toMatchObject({ queued: 0, unanswered: 0, awaited: 0, bytes: 0, answers: 4 });
    // the two that waited did so behind the one that blocked
    expect(after.wait.sum).toBeGreaterThan(0.5);
    expectAllAccountedFor(after);
  });

  test("a timeout is counted immediately, its run time with the response", async () => {
    expect(await call("t", "hold x", "&t=50")).toMatch(/timeout/);
    let runtime = await runtimeOf("t");
    expect(runtime).toMatchObject({ timeouts: 1, answers: 0, unanswered: 1, awaited: 0 });
    expect(runtime.run.count).toBe(0);
    await call("t", "release");
    runtime = await runtimeOf("t");
    expect(runtime).toMatchObject({ timeouts: 1, answers: 1, unanswered: 0 });
    expect(runtime.run.count).toBe(2);
    expect(runtime.run.sum).toBeGreaterThan(0.04);
    expectAllAccountedFor(runtime);
  });

  test("a client that goes is a cancelled call", async () => {
    await call("c", "mark x");
    const gone = nginx.request("/call?c=c&v=hold%20x", { signal: AbortSignal.timeout(150) });
    await gone.catch(() => undefined);
    let runtime: Runtime | undefined;
    await until(
      async () => {
        runtime = await runtimeOf("c");
        return runtime.cancelled === 1;
      },
      5_000,
      () => `not cancelled: ${JSON.stringify(runtime)}`,
    );
    expect(runtime).toMatchObject({ timeouts: 0, answers: 1, awaited: 0 });
    await call("c", "release");
    expectAllAccountedFor(await runtimeOf("c"));
  });

  test("a full queue and a failing payload have different codes", async () => {
    await call("r", "mark x", "&max=1");
    const block = call("r", "block 1000", "&max=1");
    let runtime: Runtime | undefined;
    await until(
      async () => {
        runtime = await runtimeOf("r");
        return runtime.unanswered === 1 && runtime.queued === 0;
      },
      5_000,
      () => "not taken",
    );
    const queued = call("r", "mark a", "&max=1");
    await until(
      async () => (await runtimeOf("r")).queued === 1,
      5_000,
      () => "not queued",
    );
    expect(await call("r", "mark b", "&max=1")).toMatch(/is full: 1 call waits \(max_queue\)/);
    await Promise.all([block, queued]);
    runtime = await runtimeOf("r");
    expect(runtime.rejected).toMatchObject({ queue_full: 1, closed: 0 });
    expectAllAccountedFor(runtime);
  });

  test("counts the errors and restarts of a process, and names its pid", async () => {
    const node = (m: string, more = "") => nginx.get(`/node?c=n&m=${m}${more}`);
    expect(await node("hello")).toBe("hello\n");
    await node("boom");
    let runtime = await runtimeOf("n");
    expect(runtime).toMatchObject({ kind: "process", name: "hello.ts", calls: 2, answers: 1 });
    expect(runtime.errors.runtime_error).toBe(1);
    const [before] = runtime.processes;
    expect(before).toMatchObject({ state: "ready", restarts: 0 });
    expect(nginx.family().map(({ pid }) => pid)).toContain(before?.pid);

    const lost = node("later", "&v=60000");
    await until(
      async () => (await runtimeOf("n")).unanswered === 1,
      5_000,
      () => "not taken",
    );
    expect(await node("exit")).toMatch(/runtime_down/);
    expect(await lost).toMatch(/runtime_down/);
    await until(
      async () => (await runtimeOf("n")).processes[0]?.state === "ready",
      10_000,
      () => "not started again",
    );
    runtime = await runtimeOf("n");
    expect(runtime.errors.runtime_down).toBe(2);
    expect(runtime.restarts).toBe(1);
    expect(runtime.processes).toMatchObject([{ restarts: 1 }]);
    expect(runtime.processes[0]?.pid).not.toBe(before?.pid);
    // both sides of a process read the same clock
    expect(runtime.wait.count).toBe(2);
    expectAllAccountedFor(runtime);
  });

  test("the Prometheus text is strictly valid and says the same", async () => {
    await call("p", "mark 1");
    await runtimeOf("p");
    await nginx.get("/node?c=pn&m=boom");
    await runtimeOf("pn");
    const table = JSON.parse(await nginx.get("/table")) as {
      worker: { id: number };
      runtimes: Runtime[];
    };
    const families = parsePrometheus(await nginx.get("/metrics"));
    expect(table.worker.id).toBe(0);
    expect(table.runtimes.length).toBeGreaterThan(1);
    for (const runtime of table.runtimes) {
      const labels = { worker: "0", runtime: runtime.name, id: runtime.id };
      const value = (name: string, more = {}) =>
        sampleValue(families, name, { ...labels, ...more });
      for (const name of [
        "calls",
        "answers",
        "timeouts",
        "cancelled",
        "restarts",
        "idle_stops",
      ] as const) {
        expect(value(`nffi_${name}_total`)).toBe(runtime[name]);
      }
      for (const [code, count] of Object.entries(runtime.errors)) {
        expect(value("nffi_errors_total", { code })).toBe(count);
      }
      for (const [code, count] of Object.entries(runtime.rejected)) {
        expect(value("nffi_rejected_total", { code })).toBe(count);
      }
      expect(value("nffi_shared_bytes")).toBe(runtime.shared_bytes);
      expect(value("nffi_wait_seconds_count")).toBe(runtime.wait.count);
      expect(value("nffi_run_seconds_sum")).toBeCloseTo(runtime.run.sum, 6);
      // an empty table of Lua is an object for cjson
      const processes = Array.isArray(runtime.processes) ? runtime.processes : [];
      const ready = processes.filter(({ state }) => state === "ready").length;
      expect(value("nffi_processes", { state: "ready" })).toBe(ready);
    }
    for (const family of families.values()) expectLabels(family);
  });

  test("a name with quotes, backslashes and newlines is escaped", async () => {
    const name = 'a"b\\c\nd}';
    const library = join(folder, `lib${name}.so`);
    copyFileSync(witness, library);
    const odd = content(
      "= /odd",
      `local rt = assert(nffi.load("${folder}/lib" .. 'a"b\\\\c\\nd}' .. ".so"))
       assert(rt:call("x", { method = "mark" }))
       ngx.print(nffi.metrics("prometheus"))`,
    );
    await withNginx({ prefix, server: odd }, async (own) => {
      const families = parsePrometheus(await own.get("/odd"));
      expect(sampleValue(families, "nffi_calls_total", { runtime: `lib${name}.so` })).toBe(1);
    });
  });

  test("every phase can read them; the master has none", async () => {
    const read = `local m = require("resty.nffi").metrics()`;
    const note = (phase: string) =>
      `${read} ngx.log(ngx.NOTICE, "${phase} sees ", #m.runtimes, " of ", m.runtimes[1].calls)`;
    const http = `
      init_by_lua_block { ${read} assert(#m.runtimes == 0) }
      init_worker_by_lua_block {
        assert(require("resty.nffi").load("${witness}"))
        ${note("init_worker")}
        ngx.timer.at(0, function() ${note("timer")} end)
      }`;
    const phases = ["rewrite", "access", "header_filter", "body_filter", "log"];
    const locations = `location / {
      set_by_lua_block $x { ${note("set")} return 1 }
      ${phases.map((phase) => `${phase}_by_lua_block { ${note(phase)} }`).join("\n")}
      content_by_lua_block { ngx.say("done") }
    }`;
    await withNginx({ prefix, http, server: locations }, async (own) => {
      await own.get("/");
      for (const phase of ["init_worker", "timer", "set", ...phases]) {
        await own.waitForLog(`${phase} sees 1 of 0`);
      }
    });
  });

  test("the counts outlive the Lua VM", async () => {
    const http = `${HTTP} lua_code_cache off;`;
    await withNginx({ prefix, http, server, files: { "hello.ts": HELLO } }, async (own) => {
      for (let i = 0; i < 3; i++) await own.get(`/call?c=z&v=mark%20${i}`);
      expect((await runtimeOf("fresh VM", own)).calls).toBe(3);
    });
  });

  test("a stream is one call, which ends in one way", async () => {
    const streams = content(
      "= /streams",
      `local rt = assert(nffi.load("${prefix}/nffi/lib/libnffi_echo.so", { config = "4" }))
       for _ in rt:stream("50", { method = "count" }) do end
       local failed = rt:stream("3 0 bad", { method = "count" })
       for _ in failed do end
       local broken = rt:stream("1000000", { method = "count" })
       assert(broken:read())
       broken:close()
       broken:close()
       local late = rt:stream("300", { method = "sleep", timeout = 20 })
       ngx.say(show(failed:error()), " ", (select(2, late:read())))
       late:close()`,
    );
    const own = `${streams}${TABLE}`;
    await withNginx({ prefix, server: own }, async (nginxOfStreams) => {
      expect(await nginxOfStreams.get("/streams")).toMatch(/^bad\|runtime_error.* within 20 ms$/m);
      const runtime = await runtimeOf("streams", nginxOfStreams);
      expect(runtime).toMatchObject({
        calls: 4,
        answers: 1,
        cancelled: 1,
        timeouts: 1,
        awaited: 0,
      });
      expect(runtime.errors.runtime_error).toBe(1);
      expectAllAccountedFor(runtime);
    });
  });

  test("nothing is lost or counted twice while calls of all kinds end", async () => {
    await call("m", "mark x", "&max=8");
    const some = async (i: number) => {
      const kind = i % 4;
      if (kind === 0) return await call("m", "block 2", "&max=8");
      if (kind === 1) return await call("m", `hold ${i}`, "&max=8&t=20");
      if (kind === 2) return await call("m", "release", "&max=8");
      const url = `/call?c=m&max=8&v=hold%20${i}`;
      return await nginx.request(url, { signal: AbortSignal.timeout(25) }).catch(() => undefined);
    };
    let runtime: Runtime | undefined;
    // until each kind of end has occurred, which is a matter of luck
    for (let round = 0; round < 100; round++) {
      await Promise.all(Array.from({ length: 40 }, (_, i) => some(i)));
      await call("m", "release", "&max=8");
      runtime = await runtimeOf("m");
      if (round >= 5 && runtime.timeouts > 0 && (runtime.rejected.queue_full ?? 0) > 0) break;
    }
    await until(
      async () => {
        await call("m", "release", "&max=8");
        runtime = await runtimeOf("m");
        return runtime.unanswered === 0;
      },
      10_000,
      () => `left over: ${JSON.stringify(runtime)}`,
    );
    if (!runtime) throw new Error("no runtime");
    expect(runtime.calls).toBeGreaterThan(150);
    expect(runtime.timeouts).toBeGreaterThan(0);
    expect(runtime.rejected.queue_full).toBeGreaterThan(0);
    expectAllAccountedFor(runtime);
  });

  test("metrics() of another kind is misuse", async () => {
    const bad = content("= /bad", `ngx.say(show(pcall(nffi.metrics, "xml")))`);
    await withNginx({ prefix, server: bad }, async (own) => {
      expect(await own.get("/bad")).toMatch(/false\|.*metrics\(\) expects nothing or "prometheus"/);
    });
  });
});

function expectLabels(family: Family): void {
  // of the worker, not of a runtime
  if (family.name === "nffi_kept_queues") return;
  for (const { labels } of family.samples) {
    expect(Object.keys(labels)).toEqual(expect.arrayContaining(["worker", "runtime", "id"]));
  }
}

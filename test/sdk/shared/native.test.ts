// Runtimes in Go and Rust through a real nginx, as a library in the worker and as a process:
// values, errors, panics, deadlines, clients that go, configurations, quit and reload.
import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stalledClient, untilItStops } from "../../support/flow.js";
import { ownResponses, SUM_OF_CHUNKS } from "../../support/lua.js";
import { type Nginx, startNginx, until, withNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { NATIVE_LANGUAGES, type NativeBuild } from "./native-languages.js";

// load(how, config, options): the same code, hosted one way or the other.
const LUA = (built: NativeBuild) => `
local nffi = require "resty.nffi"
return function(how, config, options)
    local all = { codec = "json", config = config, program = how == "process" and "${built.program}" or nil }
    for name, value in pairs(options or {}) do all[name] = value end
    return nffi.load(how == "process" and "process" or "${built.library}", all)
end
`;

const location = (path: string, code: string) => `location = ${path} { content_by_lua_block {
    local cjson = require "cjson.safe"
    local load = require "native"
    local how = ngx.var.arg_how
    ${code}
} }`;

const SERVER = [
  location(
    "/hello",
    `local rt = assert(load(how, { name = ngx.var.arg_prefix or "hello" }))
    local response, message, code, detail = rt.methods:hello({ name = ngx.var.arg_name })
    ngx.say(cjson.encode({ response or false, message, code, detail }))`,
  ),
  location(
    "/method",
    `ngx.req.read_body()
    local rt = assert(load(how, { name = "hello" }))
    local response, message, code, detail = rt:call(ngx.req.get_body_data(),
        { method = ngx.var.arg_name, timeout = tonumber(ngx.var.arg_timeout) })
    if response then ngx.print(response) else ngx.say(cjson.encode({ message, code, detail })) end`,
  ),
  location(
    "/load",
    `local rt, message, code = load(how, cjson.decode(ngx.unescape_uri(ngx.var.arg_config)))
    if not rt then return ngx.say(code, ": ", message) end
    local response, message, code = rt.methods:hello({ name = "Ada" }, { timeout = 10000 })
    ngx.say(response and response.greeting or code .. ": " .. message)`,
  ),
  location(
    "/threads",
    `local rt = assert(load(how, { name = "hello" }))
    local methods = cjson.decode(ngx.unescape_uri(ngx.var.arg_methods))
    local function text(i) return "call " .. i end
    ${ownResponses("rt.call, rt, text(i), { method = methods[i % #methods + 1] }")}`,
  ),
  location(
    "/count",
    `local rt = assert(load(how, { name = "hello" }))
    local stream = rt.streams[ngx.var.arg_m](rt.streams, tonumber(ngx.var.arg_n))
    ${SUM_OF_CHUNKS}`,
  ),
  location(
    "/list",
    `local methods = assert(load(how, { name = "hello" })).methods
    local list = assert(methods[ngx.var.arg_m](methods, 3))
    ngx.print(cjson.encode(list))`,
  ),
  location(
    "/flood",
    `local rt = assert(load(how, { name = "hello" }))
    local stream = rt:stream(nil, { method = ngx.var.arg_m })
    for chunk in stream do
        ngx.print(chunk)
        ngx.flush(true)
    end`,
  ),
  location(
    "/close",
    `local rt = assert(load(how, { name = "closing" }))
    local slow = ngx.thread.spawn(function() return rt.methods:wait(300) end)
    ngx.sleep(0.1)
    rt:close()
    local refused, _, code = rt.methods:hello({ name = "x" })
    local _, response = ngx.thread.wait(slow)
    local again = assert(load(how, { name = "closing" }))
    ngx.print(response, " ", refused and "no" or code, " ", again.methods:hello({ name = "again" }).greeting)`,
  ),
].join("\n");

describe.each(NATIVE_LANGUAGES)("$language", (of) => {
  let prefix: string;
  let built: NativeBuild;

  beforeAll(async () => {
    prefix = await builtOpenresty();
    built = of.build(prefix);
  });

  afterAll(() => built?.remove());

  const options = () => ({
    prefix,
    http: `lua_package_path "$prefix?.lua;;"; client_max_body_size 0; client_body_buffer_size 8m;`,
    server: SERVER,
    files: { "native.lua": LUA(built) },
  });

  describe.each(["library", "process"])("a %s", (how) => {
    let nginx: Nginx;

    beforeAll(async () => {
      nginx = await startNginx({
        ...options(),
        server: `lua_check_client_abort on; ${SERVER}`,
      });
    });

    afterAll(() => nginx?.stop());

    const method = async (name: string, body = "", more = "") =>
      (await nginx.request(`/method?how=${how}&name=${name}${more}`, { method: "POST", body }))
        .body;

    test("answers a method with values", async () => {
      const [response] = JSON.parse(await nginx.get(`/hello?how=${how}&name=Ada`));
      expect(response.greeting).toBe("hello Ada");
      expect(nginx.workers().includes(response.pid)).toBe(how === "library");
    });

    test("an error is nil, message, code", async () => {
      expect(JSON.parse(await nginx.get(`/hello?how=${how}`))).toEqual([
        false,
        "the name is empty",
        "runtime_error",
      ]);
      expect(JSON.parse(await method("nothing"))[0]).toMatch(/^unknown method "nothing"; /);
      expect(JSON.parse(await method("code"))).toEqual(["coded", "runtime_error", 7]);
      expect(JSON.parse(await method("hello", "no JSON"))[0]).toMatch(of.noJson);
    });

    test.each(of.panics)("a %s is an error of its call, and the others go on", async (name) => {
      const slow = method("wait", "500");
      const [message, code, detail] = JSON.parse(await method(name));
      expect([message, code]).toEqual(["panic: no luck", "runtime_error"]);
      for (const part of of.place) expect(detail).toMatch(part);
      expect(await slow).toBe('"waited"');
    });

    test.each([0, 1, 4096, 100_000, 5_000_000])("%d bytes come back as they were", async (size) => {
      const body = "\0\u0001ab".repeat(size / 4 + 1).slice(0, size);
      for (const name of of.echoes) {
        expect((await method(name, body)) === body, name).toBe(true);
      }
    });

    test("1000 calls in flight get their own answers", async () => {
      const methods = encodeURIComponent(JSON.stringify(of.echoes));
      expect(await nginx.get(`/threads?how=${how}&methods=${methods}`)).toBe("1000");
    });

    test.each(of.waits)("a timeout is the deadline of %s, and ends it", async (name) => {
      const { late } = JSON.parse(await method("seen"));
      expect(Number(await method("left", "", "&timeout=0"))).toBe(-1);
      // the second is the default
      for (const query of ["&timeout=60000", ""]) {
        const left = Number(await method("left", "", query));
        expect(left).toBeGreaterThan(30_000);
        expect(left).toBeLessThanOrEqual(60_000);
      }
      const [message] = JSON.parse(await method(name, "60000", "&timeout=100"));
      expect(message).toMatch(/has not responded within 100 ms|deadline exceeded/);
      const seen = async () => JSON.parse(await method("seen"));
      await until(
        async () => (await seen()).late === late + 1 && (await seen()).running === 0,
        10_000,
        () => "the handler did not see the deadline",
      );
    });

    test.each(of.waits)("a client that goes ends %s", async (name) => {
      const before = JSON.parse(await method("seen")).cancelled;
      const gone = new AbortController();
      const path = `/method?how=${how}&name=${name}`;
      const call = nginx.request(path, { method: "POST", body: "60000", signal: gone.signal });
      call.catch(() => {});
      const seen = async () => JSON.parse(await method("seen"));
      await until(
        async () => (await seen()).running === 1,
        10_000,
        () => "the call did not start",
      );
      gone.abort();
      await until(
        async () => (await seen()).cancelled === before + 1 && (await seen()).running === 0,
        10_000,
        () => "the handler did not see that its client has gone",
      );
    });

    test.each(of.counts)(
      "chunks of %s are read one by one, then the end or the error",
      async (name) => {
        const count = (n: number) => nginx.get(`/count?how=${how}&m=${name}&n=${n}`);
        expect(await count(1000)).toBe("1000 500500 nil");
        expect(await count(0)).toBe("0 0 nil");
        expect(await count(13)).toBe("13 91 that number is refused");
        expect(await nginx.get(`/list?how=${how}&m=${name}`)).toBe("[1,2,3]");
      },
    );

    if (of.logs) {
      test("a message has the request it belongs to", async () => {
        await method("log", `from a ${how}`);
        await nginx.waitForLog(`from a ${how}`);
        expect(nginx.errorLog()).toMatch(
          new RegExp(`\\[warn\\] .*from a ${how}.*request: "POST /method`),
        );
      });
    }

    test.each(of.floods)(
      "%s waits for a client that does not read, and ends with it",
      async (name) => {
        const seen = async () => JSON.parse(await method("seen"));
        const client = await stalledClient(`${nginx.url}/flood?how=${how}&m=${name}`);
        await untilItStops(async () => (await seen()).sent);
        expect((await seen()).running).toBe(1);
        await client.leave();
        await until(
          async () => (await seen()).running === 0,
          10_000,
          () => "the writer goes on",
        );
      },
    );

    test("two configurations are two runtimes side by side", async () => {
      const greeting = async (name: string) =>
        JSON.parse(await nginx.get(`/hello?how=${how}&prefix=${name}&name=x`))[0];
      const [a, b] = [await greeting("a"), await greeting("b")];
      expect([a.greeting, b.greeting]).toEqual(["a x", "b x"]);
      expect(a.pid === b.pid).toBe(how === "library");
    });

    test("a refused configuration is reported with the reason", async () => {
      const load = (config: unknown) =>
        nginx.get(`/load?how=${how}&config=${encodeURIComponent(JSON.stringify(config))}`);
      const code = how === "library" ? "load_failed" : "runtime_down";
      const unknown = await load({ nmae: "x" });
      expect(unknown).toMatch(new RegExp(`^${code}: `));
      expect(unknown).toContain(of.unknownField);
      expect(await load({ name: "refused" })).toContain("that name is refused");
    });

    test("calls wait for a start that takes its time, and the worker does not", async () => {
      const config = encodeURIComponent(JSON.stringify({ name: "slow", start_ms: 1000 }));
      const order: string[] = [];
      const slow = nginx.get(`/load?how=${how}&config=${config}`).then((text) => order.push(text));
      order.push(JSON.parse(await nginx.get(`/hello?how=${how}&name=x`))[0].greeting);
      await slow;
      expect(order).toEqual(["hello x", "slow Ada\n"]);
    });

    test("closing answers what is under way; loading again makes another", async () => {
      expect(await nginx.get(`/close?how=${how}`)).toBe("waited closed closing again");
    });

    test("it runs programs", async () => {
      expect(await method("shell", "echo out; echo err >&2; exit 3")).toBe(
        `out\nerr (${of.exited} 3)`,
      );
      const ran = Array.from({ length: 50 }, (_, i) => method("shell", `exit ${i % 2}`));
      expect((await Promise.all(ran)).sort()).toEqual(
        [...Array(25).fill(""), ...Array(25).fill(` (${of.exited} 1)`)].sort(),
      );
    });
  });

  test("a library whose start fails is tried again, and calls fail with the reason until then", async () => {
    await withNginx(options(), async (nginx) => {
      const load = (config: unknown) =>
        nginx.get(`/load?how=library&config=${encodeURIComponent(JSON.stringify(config))}`);
      const failing = { name: "late", fail_starts: 2 };
      expect(await load(failing)).toBe("runtime_error: the runtime did not start: no luck yet\n");
      await until(
        async () => (await load(failing)) === "late Ada\n",
        10_000,
        () => nginx.errorLog(),
      );
      // the reason once, then a line for each try
      expect(nginx.errorLog().match(/the runtime did not start.*/g)).toEqual([
        "the runtime did not start: no luck yet; it is tried again in 100 ms",
        "the runtime did not start, for the same reason; it is tried again in 200 ms",
      ]);
    });
  });

  test("a process that exits fails its calls with the reason and comes back", async () => {
    await withNginx(options(), async (nginx) => {
      const method = async (name: string) =>
        (await nginx.request(`/method?how=process&name=${name}`, { method: "POST", body: "null" }))
          .body;
      expect(JSON.parse(await method("exit"))[1]).toBe("runtime_down");
      await until(
        async () => (await method("echo")) === "null",
        10_000,
        () => nginx.errorLog(),
      );
      await method("print");
      await nginx.waitForLog("to stdout");
      expect(nginx.errorLog()).toMatch(/\[notice\] .*to stdout/);
      expect(nginx.errorLog()).toMatch(/\[error\] .*to stderr/);
    });
  });

  test("a program that another one starts says what it is for", () => {
    const ran = spawnSync(built.program, { encoding: "utf8" });
    expect(ran.stderr).toContain("this process was not started by a worker");
    expect(ran.stderr).toContain('nffi.load("process"');
    expect(ran.status).toBe(2);
  });

  describe.each(["library", "process"])("%s: leaving", (how) => {
    test.each(["SIGQUIT", "SIGHUP"] as const)("%s answers the calls under way", async (signal) => {
      await withNginx(options(), async (nginx) => {
        await nginx.get(`/hello?how=${how}&name=x`);
        const slow = nginx.request(`/method?how=${how}&name=wait`, {
          method: "POST",
          body: "1500",
        });
        await until(
          async () =>
            JSON.parse((await nginx.request(`/method?how=${how}&name=seen`)).body).running === 1,
          10_000,
          () => nginx.errorLog(),
        );
        if (signal === "SIGHUP") await nginx.reload();
        else nginx.signal(signal);
        expect((await slow).body).toBe('"waited"');
        if (signal === "SIGHUP") {
          expect(await nginx.get(`/hello?how=${how}&name=new`)).toContain("hello new");
        }
      });
    });

    test("SIGTERM does not wait for them", async () => {
      const nginx = await startNginx(options());
      const slow = nginx.request(`/method?how=${how}&name=wait`, { method: "POST", body: "60000" });
      slow.catch(() => {});
      await until(
        async () =>
          JSON.parse((await nginx.request(`/method?how=${how}&name=seen`)).body).running === 1,
        10_000,
        () => nginx.errorLog(),
      );
      await nginx.stop({ signal: "SIGTERM", timeoutMs: 5000 });
      await expect(slow).rejects.toThrow();
    });
  });
});

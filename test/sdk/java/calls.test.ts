// Runtimes in Java through a real nginx, as a process and in the worker: values, errors with their
// stack, deadlines, clients that go, streams, memory and stack that run out, logs, class paths.
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ownResponses, SUM_OF_CHUNKS } from "../../support/lua.js";
import {
  type Nginx,
  startNginx,
  startNginxForTest,
  until,
  withNginx,
} from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { statOf } from "../../support/processes.js";
import { temporaryFolder } from "../../support/temporary.js";
import { JavaClasses } from "./java-runtime.js";

let prefix: string;
let built: JavaClasses;
let other: JavaClasses;

beforeAll(async () => {
  prefix = await builtOpenresty();
  built = new JavaClasses("test/sdk/java/fixtures/app", prefix);
  other = new JavaClasses("test/sdk/java/fixtures/app", prefix);
  other.edit("com/example/Version.java", '"one"', '"of the other class path"');
  other.compile();
});

afterAll(() => {
  built?.remove();
  other?.remove();
});

const JAVA_LUA = () => `
local nffi = require "resty.nffi"
return function(options)
    local all = { module = "com.example.App", classpath = "${built.classes}", host = ngx.var.arg_host,
                  jvm_args = { "-Xmx64m", "-XX:+UseSerialGC" } }
    for name, value in pairs(options or {}) do all[name] = value end
    return nffi.load("java", all)
end
`;

const location = (path: string, code: string) => `location = ${path} { content_by_lua_block {
    local cjson = require "cjson.safe"
    local load = require "java"
    local function tell(response, message, code, detail)
        if response ~= nil then return ngx.print(cjson.encode(response)) end
        ngx.print(cjson.encode({ message = message, code = code, detail = detail }))
    end
    ${code}
} }`;

const server = () =>
  [
    "lua_check_client_abort on;",
    location(
      "/method",
      `local value = ngx.var.arg_value and cjson.decode(ngx.unescape_uri(ngx.var.arg_value))
    local rt = assert(load())
    tell(rt.methods[ngx.var.arg_name](rt.methods, value, { timeout = tonumber(ngx.var.arg_timeout) }))`,
    ),
    location(
      "/bytes",
      `ngx.req.read_body()
    ngx.print(assert(assert(load()):call(ngx.req.get_body_data(), { method = ngx.var.arg_name })))`,
    ),
    location(
      "/load",
      `local rt, message, code = load(cjson.decode(ngx.unescape_uri(ngx.var.arg_options)))
    if not rt then return tell(nil, message, code) end
    tell(rt.methods:hello({ name = "Ada" }, { timeout = 20000 }))`,
    ),
    location(
      "/misuse",
      `ngx.print(select(2, pcall(load, cjson.decode(ngx.unescape_uri(ngx.var.arg_options)))))`,
    ),
    location(
      "/threads",
      `local rt = assert(load())
    local function text(i) return ("call " .. i):rep(i % 10 * 100 + 1) end
    ${ownResponses('rt.call, rt, text(i), { method = i % 2 == 0 and "inline" or "" }')}`,
    ),
    location(
      "/count",
      `local stream = assert(load()).streams:count(tonumber(ngx.var.arg_n))
    ${SUM_OF_CHUNKS}`,
    ),
    location(
      "/abandon",
      `local stream = assert(load()).streams:count(1000000)
    stream:read()
    stream:close()
    ngx.print("closed")`,
    ),
    location(
      "/paths",
      `local one, two = assert(load()), assert(load({ classpath = { "${other.classes}" } }))
    ngx.print(one.methods:version(), ", ", two.methods:version(), ", ", one.methods:version())`,
    ),
    location(
      "/close",
      `local rt = assert(load({ config = { greeting = "closing" } }))
    rt.methods:version()
    local slow = ngx.thread.spawn(function() return rt.methods:wait(300) end)
    ngx.sleep(0.1)
    rt:close()
    local _, _, code = rt.methods:version()
    local _, response = ngx.thread.wait(slow)
    ngx.print(response, " ", code)`,
    ),
    location(
      "/string",
      `local rt = assert(ngx.load_nonblocking_ffi("nffi_java", ngx.var.arg_how == "json"
        and [[{"module":"com.example.App","classpath":"${built.classes}","config":{"greeting":"json"}}]]
        or "java.util.List,of,"))
    local ok, response, message = rt:hello([[{"name":"Ada"}]])
    ngx.print(tostring(ok), " ", tostring(response), " ", tostring(message))`,
    ),
  ].join("\n");

const options = () => ({
  prefix,
  http: `lua_package_path "$prefix?.lua;;"; client_max_body_size 0; client_body_buffer_size 8m;`,
  server: server(),
  files: { "java.lua": JAVA_LUA() },
  logLevel: "info",
});

const escaped = (value: unknown) => encodeURIComponent(JSON.stringify(value));

describe.each(["process", "worker"])("hosted by the %s", (host) => {
  let nginx: Nginx;
  const get = (path: string) => nginx.get(path);
  const method = async (name: string, value?: unknown, more = "") => {
    const given = value === undefined ? "" : `&value=${escaped(value)}`;
    const body = await get(`/method?host=${host}&name=${name}${given}${more}`);
    return JSON.parse(body);
  };

  const eventually = (condition: () => Promise<boolean>) =>
    until(condition, 10_000, () => nginx.errorLog());

  beforeAll(async () => {
    nginx = await startNginx(options());
  });

  afterAll(async () => {
    await nginx?.stop();
  });

  test("returns values", async () => {
    expect(await method("hello", { name: "Ada" })).toEqual({ greeting: "hello Ada" });
    expect(await method("later", [1, "x", { a: true }])).toEqual([1, "x", { a: true }]);
  });

  test.each(["", "inline"])('gives bytes of every size back, by "%s"', async (name) => {
    for (const size of [0, 1, 4096, 4097, 300_000, 5_000_000]) {
      const sent = Buffer.alloc(size, "0123456789abcde");
      const response = await nginx.request(`/bytes?host=${host}&name=${name}`, {
        method: "POST",
        body: sent,
      });
      expect(response.body === sent.toString()).toBe(true);
    }
  });

  test("responds to a thousand concurrent calls, to each its own", async () => {
    expect(await get(`/threads?host=${host}`)).toBe("1000");
  });

  test("fails a call whose handler throws, with its stack", async () => {
    expect(await method("throw")).toEqual({
      message: "java.lang.IllegalStateException: no luck",
      code: "runtime_error",
      detail: expect.stringMatching(/\tat com\.example\.App\.thrown\(App\.java:\d+\)/),
    });
    expect(await method("code")).toEqual({ message: "no luck", code: "runtime_error", detail: 7 });
    expect((await method("nothing")).message).toMatch(
      /^unknown method "nothing"; methods: cancelled, code/,
    );
  });

  test("fails only the call that runs out of stack or memory", async () => {
    expect((await method("deep")).message).toMatch(/^java\.lang\.StackOverflowError/);
    expect((await method("memory")).message).toMatch(/^java\.lang\.OutOfMemoryError/);
    expect(await method("hello", { name: "on" })).toEqual({ greeting: "hello on" });
  });

  test("has the heap that its options say", async () => {
    const { name, heap } = await method("thread");
    expect(name).toMatch(/^nffi com\.example\.App \d+$/);
    expect(heap).toBeLessThanOrEqual(64 * 2 ** 20);
  });

  test("is interrupted when the time is over, and when the client goes", async () => {
    const before = await method("cancelled");
    expect((await method("wait", 60_000, "&timeout=50")).code).toBe("timeout");
    await eventually(async () => (await method("cancelled")) === before + 1);
    const gone = new AbortController();
    const asked = nginx
      .request(`/method?host=${host}&name=wait&value=60000`, { signal: gone.signal })
      .catch(() => undefined);
    setTimeout(() => gone.abort(), 300);
    await asked;
    await eventually(async () => (await method("cancelled")) === before + 2);
  });

  test("streams at the pace of the reader, and ends with it", async () => {
    expect(await get(`/count?host=${host}&n=1000`)).toBe("1000 499500 nil");
    const before = await method("sent");
    expect(await get(`/abandon?host=${host}`)).toBe("closed");
    await eventually(async () => {
      const sent = await method("sent");
      return sent === (await method("sent"));
    });
    expect((await method("sent")) - before).toBeLessThan(1000);
    expect(await method("count", 3)).toEqual([0, 1, 2]);
  });

  test("logs with levels, and with the request it is about", async () => {
    await method("log");
    const line = (level: string, text: string) =>
      new RegExp(`\\[${level}\\].*${text}.*request: "GET /method`);
    await nginx.waitForLog("by java.util.logging");
    expect(nginx.errorLog()).toMatch(line("warn", "by the context"));
    expect(nginx.errorLog()).toMatch(line("notice", "by System.out"));
    expect(nginx.errorLog()).toMatch(line("error", "by System.err"));
    expect(nginx.errorLog()).toMatch(line("warn", "the.logger: by System.Logger"));
    expect(nginx.errorLog()).toMatch(line("info", "jul: by java.util.logging"));
  });

  test("starts programs and gets their status", async () => {
    for (let i = 0; i < 3; i++) {
      const command = ["sh", "-c", `echo out; exit ${i}`];
      expect(await method("process", command)).toEqual({ text: "out\n", status: i });
    }
  });

  test("has separate classes for each class path", async () => {
    expect(await get(`/paths?host=${host}`)).toBe("one, of the other class path, one");
  });

  test("answers what it has when it is closed, then closes the handler", async () => {
    expect(await get(`/close?host=${host}`)).toBe("waited closed");
    await nginx.waitForLog("closed closing one");
  });

  test("says why it does not start", async () => {
    const load = async (given: unknown) =>
      JSON.parse(await get(`/load?host=${host}&options=${escaped(given)}`)).message;
    expect(await load({ config: { refuse: "yes" } })).toContain(
      "java.lang.IllegalArgumentException: the configuration says no",
    );
    expect(await load({ module: "com.example.None" })).toMatch(
      /class com\.example\.None not found in the classpath: .*nffi-java-/,
    );
    expect(await load({ module: "java.lang.String" })).toContain(
      "the class java.lang.String implements no nffi.Handler",
    );
  });

  test("raises on options that are wrong", async () => {
    const misuse = (given: unknown) => get(`/misuse?host=${host}&options=${escaped(given)}`);
    expect(await misuse({ threads: 0 })).toContain("threads must be a whole number from 1");
    expect(await misuse({ classpath: [1] })).toContain("classpath: invalid entry 1");
    expect(await misuse({ jvm_args: "-Xmx1g" })).toContain("jvm_args must be a table");
    expect(await misuse({ jvmargs: [] })).toContain(
      'unknown option "jvmargs"; did you mean "jvm_args"?',
    );
  });
});

describe("in the worker", () => {
  test("a second runtime cannot have other options, nor can a machine that is none be named", async () => {
    const nginx = await startNginx(options());
    try {
      const load = async (given: unknown) =>
        nginx.get(`/load?host=worker&options=${escaped(given)}`);
      expect(await load({ program: "/none/bin/java" })).toContain(
        "libjvm.so, or this user may not read it",
      );
      expect(await load({})).toBe('{"greeting":"hello Ada"}');
      const refused = await load({ jvm_args: ["-Xmx100m"], config: { greeting: "x" } });
      expect(refused).toContain("virtual machine was made with other jvm_args");
      expect(refused).toContain('"code":"load_failed"');
    } finally {
      await nginx.stop();
    }
  });

  test("options that no virtual machine can have fail the calls, not the worker", async () => {
    const nginx = await startNginx(options());
    try {
      const body = await nginx.get(
        `/load?host=worker&options=${escaped({ jvm_args: ["-Xmx1k", "-Xms9g"] })}`,
      );
      expect(body).toContain("the Java virtual machine did not start: ");
      expect(body).toMatch(/heap/);
      expect(nginx.errorLog()).not.toContain("exited");
    } finally {
      await nginx.stop();
    }
  });

  test.each(["_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS"])("nor do those of %s", async (name) => {
    const load = "/load?host=worker&options={}";
    await withNginx({ ...options(), main: `env "${name}=-Xmx1g -Xms9g";` }, async (nginx) => {
      const body = await nginx.get(load);
      expect(body).toContain("the Java virtual machine did not start: ");
      expect(body).toMatch(/heap size/);
      expect(nginx.errorLog()).not.toMatch(/worker process \d+ exited/);
    });
    await withNginx({ ...options(), main: `env ${name}=-Xss1m;` }, async (nginx) => {
      expect(await nginx.get(load)).toBe('{"greeting":"hello Ada"}');
    });
  });

  test("a Java that hangs has nothing of nginx's, and ends with the worker", async () => {
    const home = temporaryFolder();
    chmodSync(home, 0o777); // the worker may be another user
    for (const name of ["bin", "lib/server"]) mkdirSync(join(home, name), { recursive: true });
    writeFileSync(join(home, "lib/server/libjvm.so"), "");
    writeFileSync(
      join(home, "bin/java"),
      `#!/bin/sh\nreadlink /proc/$$/fd/* > ${home}/open\necho $$ > ${home}/pid\nexec sleep 600\n`,
      { mode: 0o755 },
    );
    const nginx = await startNginxForTest(options());
    const program = escaped({ program: join(home, "bin/java") });
    nginx.get(`/load?host=worker&options=${program}`).catch(() => {});
    let pid = 0;
    await until(
      () => {
        if (existsSync(join(home, "pid"))) pid = Number(readFileSync(join(home, "pid"), "utf8"));
        return pid > 0;
      },
      10_000,
      () => `it is not tried:\n${nginx.errorLog()}`,
    );
    const open = readFileSync(join(home, "open"), "utf8");
    expect(open).toContain("pipe:");
    expect(open).not.toMatch(/socket|event|\.log/);
    await nginx.stop();
    expect(statOf(pid)?.state ?? "gone").toMatch(/gone|Z/);
  });

  test("is found by the older API, by JSON and by class,function,configuration", async () => {
    const nginx = await startNginx(options());
    try {
      expect(await nginx.get("/string?how=json")).toBe('true {"greeting":"json Ada"} nil');
      expect(await nginx.get("/string?how=string")).toMatch(
        /the runtime did not start: the class java\.util\.List has no public static method of of a form/,
      );
    } finally {
      await nginx.stop();
    }
  });
});

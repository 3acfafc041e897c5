// The examples in C and Go, which are written to the oldest public ABI, and a runtime in
// TypeScript: concurrent calls, a slow call, and two runtimes of one library.
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { type Nginx, startNginx, until } from "../support/nginx.js";
import { builtOpenresty, suites } from "../support/openresty.js";
import { runtimesOf } from "../support/processes.js";

const CALLS = 1000;

const ECHO_TS = `
import { setTimeout } from "node:timers/promises";
type Context = { config: { prefix?: string; delay_ms?: number } };
export const echo = async (request: string, { config }: Context): Promise<string> => {
  await setTimeout(config.delay_ms ?? 0);
  return (config.prefix ?? "") + request;
};
`;

// One way to load and call for all three: load(prefix, delay_ms) and call(runtime, text).
const KINDS_LUA = `
local nffi = require "resty.nffi"
local cjson = require "cjson.safe"

local function native(lib, config_of)
    return {
        load = function(...)
            return ngx.load_nonblocking_ffi(lib, config_of(...), { max_queue = 4096 })
        end,
        call = function(runtime, text)
            local ok, response, err = runtime:echo(text)
            if ok then return response end
            return nil, err or response
        end,
        state = function(...)
            return assert(nffi.load(lib, { config = config_of(...) })):state()
        end,
    }
end

local function typescript(prefix, delay)
    return nffi.load("node", { module = "echo.ts", config = { prefix = prefix, delay_ms = delay } })
end

return {
    c = native("@LIBRARIES@/libc_echo.so", function(prefix, delay)
        return ("prefix=%s delay_ms=%d"):format(prefix or "", delay or 0)
    end),
    go = native("@LIBRARIES@/libgo_echo.so", function(prefix, delay)
        return cjson.encode({ prefix = prefix, delay_ms = delay })
    end),
    typescript = {
        load = typescript,
        call = function(runtime, text) return runtime.methods:echo(text) end,
        state = function(...) return assert(typescript(...)):state() end,
    },
}
`;

const location = (path: string, code: string) => `location = ${path} { content_by_lua_block {
    local kind = require("kinds")[ngx.var.arg_kind]
    local prefix = ngx.var.arg_prefix and ngx.unescape_uri(ngx.var.arg_prefix)
    local delay = tonumber(ngx.var.arg_delay)
    ${code}
} }`;

const SERVER = [
  location(
    "/echo",
    `ngx.print(assert(kind.call(assert(kind.load(prefix, delay)), ngx.var.arg_text)))`,
  ),
  location("/pending", `ngx.print(kind.state(prefix, delay).awaited)`),
  // All threads run until they wait for their response, so many calls are in flight together.
  location(
    "/threads",
    `local runtime, threads, own = assert(kind.load(prefix, delay)), {}, 0
    for i = 1, ${CALLS} do
        threads[i] = ngx.thread.spawn(kind.call, runtime, "call " .. i)
    end
    local awaited = kind.state(prefix, delay).awaited
    for i = 1, ${CALLS} do
        local _, response = ngx.thread.wait(threads[i])
        if response == "call " .. i then own = own + 1 end
    end
    ngx.print(awaited, " in flight, ", own, " own answers")`,
  ),
  location(
    "/same",
    `local a, again, b = kind.load("a:"), kind.load("a:"), kind.load("b:")
    ngx.print(kind.call(a, "x"), " ", kind.call(again, "x"), " ", kind.call(b, "x"), " ",
              tostring(a == again), " ", tostring(a == b))`,
  ),
].join("\n");

let libraries: string;

beforeAll(() => {
  libraries = mkdtempSync(join(tmpdir(), "nffi-examples-"));
  chmodSync(libraries, 0o755); // the worker may be another user
  for (const name of ["c-echo", "go-echo"]) {
    const folder = join(repository, "examples", name);
    execFileSync("make", ["-C", folder, `OUT=${libraries}`], { stdio: ["ignore", "ignore", 2] });
  }
});

afterAll(() => rmSync(libraries, { recursive: true, force: true }));

test("the Go example passes its own tests", () => {
  execFileSync("make", ["-C", join(repository, "examples/go-echo"), "test"], { stdio: "pipe" });
});

describe.each(suites)("one worker, %s", (suite) => {
  let nginx: Nginx;

  beforeAll(async () => {
    nginx = await startNginx({
      prefix: await builtOpenresty(suite),
      http: `lua_package_path "$prefix?.lua;;";`,
      server: SERVER,
      files: { "echo.ts": ECHO_TS, "kinds.lua": KINDS_LUA.replaceAll("@LIBRARIES@", libraries) },
    });
  });

  afterAll(() => nginx?.stop());

  describe.each(["c", "go", "typescript"])("%s", (kind) => {
    test(`${CALLS} requests at once each get their own answer`, async () => {
      const texts = Array.from({ length: CALLS }, (_, index) => `request-${index}`);
      const answers = await Promise.all(
        texts.map((text) => nginx.get(`/echo?kind=${kind}&text=${text}`)),
      );
      expect(answers).toEqual(texts);
    });

    test(`${CALLS} calls that are in flight together each get their own answer`, async () => {
      expect(await nginx.get(`/threads?kind=${kind}`)).toBe(
        `${CALLS} in flight, ${CALLS} own answers`,
      );
    });

    test("a call of 2 s does not delay others", async () => {
      const order: string[] = [];
      const slow = nginx
        .get(`/echo?kind=${kind}&delay=2000&text=slow`)
        .then((answer) => order.push(answer));
      slow.catch(() => {}); // what fails first is thrown below
      const pending = () => nginx.get(`/pending?kind=${kind}&delay=2000`);
      await until(
        async () => (await pending()) === "1",
        10_000,
        () => nginx.errorLog(),
      );
      for (const text of ["first", "second", "third"]) {
        order.push(await nginx.get(`/echo?kind=${kind}&text=${text}`));
      }
      expect(await pending()).toBe("1");
      await slow;
      expect(order).toEqual(["first", "second", "third", "slow"]);
    });

    test("two configurations are two runtimes, the same one twice is the same", async () => {
      expect(await nginx.get(`/same?kind=${kind}`)).toBe("a:x a:x b:x true false");
    });
  });

  test("in TypeScript, two configurations are two processes", async () => {
    const processes = () => nginx.workers().flatMap((worker) => runtimesOf(worker)).length;
    const before = processes();
    await nginx.get("/same?kind=typescript");
    const ofSame = processes();
    await nginx.get("/echo?kind=typescript&prefix=other&text=x");
    await nginx.get("/echo?kind=typescript&prefix=other&text=x");
    expect(ofSame - before).toBe(0);
    expect(processes() - ofSame).toBe(1);
  });

  test("a configuration that the example does not understand is an error of load", async () => {
    const response = await nginx.request("/echo?kind=c&prefix=a%20b&text=x");
    expect(response.status).toBe(500);
    expect(nginx.errorLog()).toMatch(/libc_echo\.so did not start: its entry returned -1/);
  });
});

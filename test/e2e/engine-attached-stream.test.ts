// An attached glue in stream {}: calls from its phases and timers, the end of what waits there, and
// runtimes that both subsystems of a worker share.
import { spawnSync } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../src/io/port.js";
import { isAttachedSuite } from "../support/attached-product.js";
import { nativeRuntime } from "../support/native-runtime.js";
import { type Nginx, startNginx } from "../support/nginx.js";
import { builtOpenresty, suites } from "../support/openresty.js";
import { STREAM_LUA } from "../support/unpatched-openresty.js";

/** No package of Debian has ngx_stream_lua; OpenResty has it. */
function hasStreamLua(): boolean {
  const prefix = process.env.NFFI_TEST_PREFIX;
  if (!prefix) return STREAM_LUA !== undefined;
  const shown = spawnSync(join(prefix, "nginx/sbin/nginx"), ["-V"], { encoding: "utf8" });
  return /stream-lua|ngx_stream_lua/.test(shown.stderr);
}

const ofOpenresty = suites.filter(isAttachedSuite).filter((suite) => !suite.startsWith("debian"));

/** Used by http and by stream; each request or session has its name. */
const LIB = `
local nffi = require "resty.nffi"
local _M = {}

function _M.echo() return assert(nffi.load("ECHO")) end
function _M.witness() return assert(nffi.load("WITNESS")) end
function _M.node() return assert(nffi.load("node", { module = "runtime.mjs" })) end

-- makes a call that is not answered, in a light thread
function _M.hold(name, is_nested)
    local function hold()
        _M.witness().methods:hold(name)
        ngx.log(ngx.ERR, name, " was resumed")
    end
    local thread = ngx.thread.spawn(function()
        if is_nested then coroutine.wrap(hold)() else hold() end
    end)
    for _ = 1, 1000 do
        if _M.witness().methods:report():find(name, 1, true) then break end
        ngx.sleep(0.01)
    end
    return thread
end

-- the runtime answers a call whose coroutine is gone, when it was notified
function _M.late(name)
    local notified = "notified:.*" .. name .. ".*asked"
    collectgarbage()
    for _ = 1, 100 do
        if _M.witness().methods:report():find(notified) then break end
        ngx.sleep(0.01)
    end
    local report = _M.witness().methods:report()
    _M.witness().methods:release()
    ngx.sleep(0.02)
    ngx.say(report:find(notified) and "notified" or report)
end

function _M.chunks(rt)
    local list = {}
    for chunk in rt:stream("streamed") do list[#list + 1] = chunk end
    return table.concat(list)
end

return _M
`;

/** The phases of the servers, by name. */
const SERVERS: Readonly<Record<string, string>> = {
  phases: `
    preread_by_lua_block { ngx.ctx.said = lib.echo():call("preread") }
    content_by_lua_block {
      ngx.say(ngx.ctx.said, " ", lib.echo():call("content"), " ", lib.chunks(lib.echo()))
    }`,
  timer: `
    content_by_lua_block {
      assert(ngx.timer.at(0, function() ngx.log(ngx.WARN, "timer: ", lib.echo():call("late")) end))
      ngx.say("set")
    }`,
  shared: `
    content_by_lua_block {
      ngx.say(lib.node().methods:pid(), " ", #nffi.metrics().runtimes, " ", ngx.worker.pid())
    }`,
  deadline: `
    content_by_lua_block {
      local response, message, code = lib.echo().methods:sleep("5000", { timeout = 30 })
      ngx.say(tostring(response), " ", code)
    }`,
  kill: `
    content_by_lua_block {
      ngx.thread.kill(lib.hold("kill"))
      lib.late("kill")
    }`,
  kill_nested: `
    content_by_lua_block {
      ngx.thread.kill(lib.hold("nested", true))
      lib.late("nested")
    }`,
  end_of_phase: `
    preread_by_lua_block { lib.hold("preread", true) ngx.exit(ngx.OK) }
    content_by_lua_block { lib.late("preread") }`,
  end_of_session: `
    content_by_lua_block { lib.hold("session", true) ngx.exit(ngx.ERROR) }`,
  after_session: `content_by_lua_block { lib.late("session") }`,
  wrong_phase: `
    content_by_lua_block { ngx.ctx.x = 1 ngx.say("logged") }
    log_by_lua_block {
      local response, message, code = lib.echo():call("x")
      ngx.log(ngx.WARN, "log phase: ", tostring(response), " ", code)
    }`,
};

describe.runIf(hasStreamLua()).each(ofOpenresty)("stream {} of an attached nginx, %s", (suite) => {
  let nginx: Nginx;
  const ports: Record<string, number> = {};

  beforeAll(async () => {
    const prefix = await builtOpenresty(suite);
    const lib = LIB.replace("ECHO", join(prefix, "nffi/lib/libnffi_echo.so")).replace(
      "WITNESS",
      nativeRuntime(prefix, "witness"),
    );
    const servers: string[] = [];
    for (const [name, phases] of Object.entries(SERVERS)) {
      ports[name] = await freePort();
      const code = phases.replaceAll(
        "_by_lua_block {",
        '_by_lua_block { local lib, nffi = require "lib", require "resty.nffi"',
      );
      servers.push(`server { listen 127.0.0.1:${ports[name]}; ${code} }`);
    }
    const path = `lua_package_path "@DIR@/lua/?.lua;${prefix}/lualib/?.lua;;";`;
    nginx = await startNginx({
      prefix,
      main: `stream { ${path} ${servers.join("\n")} }`,
      http: path,
      server: `location = /shared { content_by_lua_block {
        ngx.say(require("lib").node().methods:pid(), " ", #require("resty.nffi").metrics().runtimes,
                " ", ngx.worker.pid())
      } }`,
      files: {
        "lua/lib.lua": lib,
        "runtime.mjs": "export const pid = () => process.pid;\n",
      },
    });
  });

  afterAll(async () => {
    const log = nginx?.errorLog();
    await nginx?.stop({ signal: "SIGQUIT" });
    expect(log).not.toMatch(/exited on signal|was resumed/);
  });

  const session = (name: string) => answerOf(ports[name] ?? 0);

  test("calls and streams in preread and content", async () => {
    expect(await session("phases")).toBe("preread content streamed\n");
  });

  test("calls from a timer", async () => {
    expect(await session("timer")).toBe("set\n");
    await nginx.waitForLog("timer: late");
  });

  test("http and stream share the runtimes of a worker", async () => {
    const ofHttp = await nginx.get("/shared");
    expect(ofHttp).toMatch(/^\d+ \d+ \d+\n$/);
    expect(await session("shared")).toBe(ofHttp);
  });

  test("a call times out", async () => {
    expect(await session("deadline")).toBe("nil timeout\n");
  });

  test.each(["kill", "kill_nested", "end_of_phase"])(
    "the runtime is notified of a call that is cancelled by %s",
    async (name) => {
      expect(await session(name)).toBe("notified\n");
    },
  );

  test("and of one that the end of the session cancels", async () => {
    expect(await session("end_of_session")).toBe("");
    expect(await session("after_session")).toBe("notified\n");
  });

  test("a phase that cannot wait refuses a call", async () => {
    expect(await session("wrong_phase")).toBe("logged\n");
    await nginx.waitForLog("log phase: nil wrong_phase");
  });
});

/** What a server of stream {} sends until it closes the connection. */
function answerOf(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.on("data", (data) => {
      text += data;
    });
    socket.on("close", () => resolve(text));
    socket.on("error", reject);
  });
}

// A call in every phase of ngx_lua, in a real nginx: it yields and is resumed where Lua may wait,
// is a clear error elsewhere, and loading early costs the first request nothing. The phases of a
// TLS handshake are in engine-tls.test.ts.
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Nginx, startNginx, startNginxForTest } from "../support/nginx.js";
import { builtOpenresty, suites } from "../support/openresty.js";

const MODULE = `
const start = Date.now();
export const echo = async (value) => { await new Promise((done) => setTimeout(done, 5)); return value; };
export const life = () => ({ pid: process.pid, started: start });
`;

/** Both ways of hosting, each with one way to call: \`call(text)\` returns text, or nil, err. */
const LUA = `
local nffi = require "resty.nffi"
local _M = {}

local kinds = {
    native = function()
        local rt = assert(nffi.load("ECHO", { config = "4" }))
        -- 5 ms of sleep, so that it cannot be answered before the coroutine has yielded
        return function(text)
            local response, message, code = rt.methods:sleep("5")
            if not response then return nil, message, code end
            return rt:call(text)
        end
    end,
    node = function()
        local rt = assert(nffi.load("node", { module = "echo.mjs" }))
        return function(text) return rt.methods:echo(text) end
    end,
}

function _M.call(text)
    return kinds[ngx.var.arg_kind or "native"]()(text)
end

-- for phases that must refuse: both kinds, and the result of each
function _M.refused()
    local results = {}
    for _, kind in ipairs { "native", "node" } do
        local value, message, code = kinds[kind]()("x")
        results[#results + 1] = kind .. "=" .. tostring(value) .. "," .. tostring(message) .. "," .. tostring(code)
    end
    return table.concat(results, " ")
end

return _M
`;

const SERVER = `
  server_rewrite_by_lua_block {
      if ngx.var.uri == "/server_rewrite" then
          ngx.ctx.said = require("phases").call("server_rewrite")
      end
  }
  location = /server_rewrite { content_by_lua_block { ngx.print(ngx.ctx.said) } }
  location = /rewrite {
      rewrite_by_lua_block { ngx.ctx.said = require("phases").call("rewrite") }
      content_by_lua_block { ngx.print(ngx.ctx.said) }
  }
  location = /access {
      access_by_lua_block { ngx.ctx.said = require("phases").call("access") }
      content_by_lua_block { ngx.print(ngx.ctx.said) }
  }
  location = /access_to_proxy {
      access_by_lua_block { ngx.req.set_header("x-said", require("phases").call("access")) }
      proxy_pass http://127.0.0.1:@PORT@/said;
  }
  location = /said { content_by_lua_block { ngx.print("proxied ", ngx.var.http_x_said) } }
  location = /content { content_by_lua_block { ngx.print(require("phases").call("content")) } }
  location = /timer { content_by_lua_block {
      local kind, result = ngx.var.arg_kind, nil
      assert(ngx.timer.at(0, function()
          local rt = kind == "node" and assert(require("resty.nffi").load("node", { module = "echo.mjs" }))
          result = rt and rt.methods:echo("timer") or in_timer_native()
      end))
      for _ = 1, 200 do if result then break end ngx.sleep(0.01) end
      ngx.print(result)
  } }
  location = /timer_every { content_by_lua_block { ngx.print(every_count > 2 and "every" or every_count) } }
  location = /light_threads { content_by_lua_block {
      local call, threads, t = require("phases").call, {}, {}
      for i = 1, 20 do threads[i] = ngx.thread.spawn(function() return call("thread" .. i) end) end
      for i = 1, 20 do t[i] = select(2, ngx.thread.wait(threads[i])) == "thread" .. i end
      ngx.print(#t == 20 and not table.concat({ tostring(t[1]), tostring(t[20]) }):find("false") and "light_threads")
  } }
  location = /first_of_threads { content_by_lua_block {
      local call = require("phases").call
      local a = ngx.thread.spawn(function() ngx.sleep(1) return "slow" end)
      local b = ngx.thread.spawn(function() return call("first_of_threads") end)
      ngx.print(select(2, ngx.thread.wait(a, b)))
      ngx.exit(200)
  } }
  location = /coroutines { content_by_lua_block {
      local call = require("phases").call
      -- three deep, and one that also yields values of its own
      local outer = coroutine.wrap(function()
          local inner = coroutine.create(function()
              coroutine.yield(call("corou"))
              return coroutine.wrap(function() return call("tines") end)()
          end)
          local _, a = coroutine.resume(inner)
          local _, b = coroutine.resume(inner)
          return a .. b
      end)
      ngx.print(outer())
  } }
  location = /thread_of_coroutine { content_by_lua_block {
      local call = require("phases").call
      local thread = ngx.thread.spawn(function()
          return coroutine.wrap(function() return call("thread_of_coroutine") end)()
      end)
      ngx.print(select(2, ngx.thread.wait(thread)))
  } }
  location = /subrequests { content_by_lua_block {
      local kind = ngx.var.arg_kind
      local a, b = ngx.location.capture_multi({ { "/content?kind=" .. kind }, { "/rewrite?kind=" .. kind } })
      ngx.print("subrequests ", a.body, " ", b.body, " ", require("phases").call("after"))
  } }
  location = /exec { content_by_lua_block {
      local call = require("phases").call
      call("before")
      ngx.exec("/content", { kind = ngx.var.arg_kind })
  } }
  location = /error_page {
      error_page 418 =200 /content?kind=$arg_kind;
      access_by_lua_block { require("phases").call("before") ngx.exit(418) }
      content_by_lua_block { ngx.print("not reached") }
  }
  location = /set {
      set_by_lua_block $said { return require("phases").refused() }
      content_by_lua_block { ngx.print(ngx.var.said) }
  }
  location = /header_filter {
      content_by_lua_block { ngx.print("body") }
      header_filter_by_lua_block { ngx.header["x-said"] = require("phases").refused() }
  }
  location = /body_filter {
      content_by_lua_block { ngx.print("body") }
      body_filter_by_lua_block { if ngx.arg[1] ~= "" then ngx.arg[1] = require("phases").refused() end }
  }
  location = /log {
      content_by_lua_block { ngx.print("body") }
      log_by_lua_block { ngx.log(ngx.WARN, "in log: ", require("phases").refused()) }
  }
  location = /balancer { proxy_pass http://balanced/said; proxy_set_header x-said $upstream_said; set $upstream_said ""; }
  location = /pid { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
  location = /early { content_by_lua_block { ngx.print(early[ngx.var.arg_what]) } }
  location = /life { content_by_lua_block {
      local life = assert(require("resty.nffi").load("node", { module = "echo.mjs" }).methods:life())
      ngx.print(string.format("%d %d", life.pid, life.started))
  } }
`;

const HTTP = `
  lua_package_path "@DIR@/lua/?.lua;;";
  init_by_lua_block {
      early = {}
      local _, err, code = require("resty.nffi").load("ECHO")
      early.init_native = err .. "|" .. code
      _, err, code = require("resty.nffi").load("node", { module = "echo.mjs" })
      early.init_node = err .. "|" .. code
      _, err, code = ngx.load_nonblocking_ffi("ECHO", "")
      early.init_2022 = err .. "|" .. code
  }
  init_worker_by_lua_block {
      early.init_worker = require("phases").refused()
      every_count = 0
      local rt = assert(require("resty.nffi").load("ECHO", { config = "4" }))
      function in_timer_native() return rt:call("timer") end
      ngx.timer.every(0.05, function() if rt.methods:sleep("1") == "1" then every_count = every_count + 1 end end)
  }
  exit_worker_by_lua_block { ngx.log(ngx.WARN, "in exit_worker: ", require("phases").refused()) }
  upstream balanced {
      server 0.0.0.1;
      balancer_by_lua_block {
          ngx.log(ngx.WARN, "in balancer: ", require("phases").refused())
          assert(require("ngx.balancer").set_current_peer("127.0.0.1", @PORT@))
      }
  }
`;

function refusedIn(phase: string): string {
  const by = (method: string, name: string) =>
    `nil,method "${method}": the runtime "${name}" cannot be called here: API disabled in the context of ${phase}; ` +
    "call it in access_by_lua* or content_by_lua*, or from ngx.timer.at(),wrong_phase";
  return `native=${by("sleep", "libnffi_echo.so")} node=${by("echo", "echo.mjs")}`;
}

describe.each(suites)("phases, %s", (suite) => {
  let nginx: Nginx;
  let echo: string;

  const start = async (starter = startNginx) => {
    const prefix = await builtOpenresty(suite);
    echo = join(prefix, "nffi/lib/libnffi_echo.so");
    return await starter({
      prefix,
      files: { "echo.mjs": MODULE, "lua/phases.lua": LUA.replaceAll("ECHO", echo) },
      http: HTTP.replaceAll("ECHO", echo),
      server: SERVER,
    });
  };

  beforeAll(async () => {
    nginx = await start();
  });

  afterAll(async () => {
    await nginx?.stop({ signal: "SIGQUIT" });
  });

  describe.each(["native", "node"])("a call to a runtime that is %s", (kind) => {
    test.each([
      ["server_rewrite", "server_rewrite"],
      ["rewrite", "rewrite"],
      ["access", "access"],
      ["access_to_proxy", "proxied access"],
      ["content", "content"],
      ["timer", "timer"],
      ["light_threads", "light_threads"],
      ["first_of_threads", "first_of_threads"],
      ["coroutines", "coroutines"],
      ["thread_of_coroutine", "thread_of_coroutine"],
      ["subrequests", "subrequests content rewrite after"],
      ["exec", "content"],
      ["error_page", "content"],
    ])("yields and is resumed in %s", async (path, expected) => {
      const pid = await nginx.get("/pid");
      const responses = await Promise.all(
        Array.from({ length: 5 }, () => nginx.get(`/${path}?kind=${kind}`)),
      );
      expect(responses).toEqual(Array(5).fill(expected));
      expect(await nginx.get("/pid")).toBe(pid);
    });
  });

  test("a call in ngx.timer.every of init_worker yields and is resumed", async () => {
    await expect.poll(() => nginx.get("/timer_every"), { timeout: 10_000 }).toBe("every");
  });

  test.each(["set", "header_filter", "body_filter", "log", "balancer"])(
    "a call in %s is refused in ngx_lua's own words, and the worker goes on",
    async (phase) => {
      const pid = await nginx.get("/pid");
      for (let i = 0; i < 3; i++) {
        const response = await nginx.request(`/${phase}`);
        expect(response.status).toBe(200);
        const expected = refusedIn(`${phase}_by_lua*`);
        if (phase === "set" || phase === "body_filter") expect(response.body).toBe(expected);
        else if (phase === "header_filter") expect(response.headers["x-said"]).toBe(expected);
        else await nginx.waitForLog(`in ${phase}: ${expected}`);
      }
      expect(await nginx.get("/pid")).toBe(pid);
      expect(await nginx.get("/content")).toBe("content");
    },
  );

  test("loading in init_by_lua is refused with the reason", async () => {
    for (const what of ["init_native", "init_node", "init_2022"]) {
      expect(await nginx.get(`/early?what=${what}`)).toMatch(
        /init_by_lua\*.*init_worker_by_lua\* or later\|wrong_process$/,
      );
    }
  });

  test("loading in init_worker works, a call there is refused", async () => {
    expect(await nginx.get("/early?what=init_worker")).toBe(refusedIn("init_worker_by_lua*"));
  });

  test("a runtime that init_worker has loaded is there before the first request", async () => {
    const fresh = await start();
    try {
      const processes = () => fresh.family().length;
      await fresh.waitForLog(/runtime "echo\.mjs": process \d+ started/);
      const before = processes();
      const [pid, started] = (await fresh.get("/life")).split(" ").map(Number);
      expect(started).toBeLessThan(Date.now());
      expect(fresh.family().map((member) => member.pid)).toContain(pid);
      expect(processes()).toBe(before);
      expect(fresh.errorLog().match(/runtime "echo\.mjs": process \d+ started/g)).toHaveLength(1);
    } finally {
      await fresh.stop();
    }
  });

  test.each(["SIGQUIT", "SIGTERM"] as const)(
    "a call in exit_worker is refused when nginx ends by %s",
    async (signal) => {
      const leaving = await start(startNginxForTest);
      await leaving.get("/content?kind=node");
      const [worker] = leaving.workers();
      leaving.signal(signal);
      const log = await leaving.waitForLog(`in exit_worker: `);
      await leaving.stop();
      expect(log).toContain(`in exit_worker: ${refusedIn("exit_worker_by_lua*")}`);
      expect(log).not.toMatch(new RegExp(`${worker} exited on signal`));
    },
  );
});

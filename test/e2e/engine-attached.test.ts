// An attached glue only: it refuses an nginx that it does not work in without harm, warns of one
// that it was not proven with, and frees what has ended after the events of a turn.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { isAttachedSuite } from "../support/attached-product.js";
import { nativeRuntime } from "../support/native-runtime.js";
import { withNginx } from "../support/nginx.js";
import { builtOpenresty, suites } from "../support/openresty.js";
import { preload } from "../support/preload.js";
import { temporaryFolder } from "../support/temporary.js";

const LOAD = `location / { content_by_lua_block {
  local rt, message, code = require("resty.nffi").load("nffi_echo_path")
  ngx.print(tostring(rt and rt:call("hello") or nil), "|", tostring(message), "|", tostring(code))
} }`;

describe.each(suites.filter(isAttachedSuite))("an attached nginx, %s", (suite) => {
  let prefix: string;
  let manifestFile: string;
  let manifest: string;
  let server: string;

  beforeAll(async () => {
    prefix = await builtOpenresty(suite);
    manifestFile = join(prefix, "nffi/nffi.json");
    manifest = readFileSync(manifestFile, "utf8");
    server = LOAD.replace("nffi_echo_path", join(prefix, "nffi/lib/libnffi_echo.so"));
  });

  afterEach(() => writeFileSync(manifestFile, manifest));

  /** As if the product had been proven with such an nginx. */
  function provenWith(nginx: object): void {
    writeFileSync(manifestFile, JSON.stringify({ ...JSON.parse(manifest), nginx }));
  }

  /** Whether this nginx has the core of OpenResty. */
  const hasItsCore = () => JSON.parse(manifest).nginx.openresty ?? suite === "openresty-core";

  test.each([
    ["another build", () => ({ buildId: "00" }), "is another build"],
    ["another version", () => ({ core: "1.20.0" }), "is nginx 1."],
    ["another ngx_lua", () => ({ ngxLua: "0.10.1" }), "has ngx_lua 0.10."],
    ["another core", () => ({ openresty: !hasItsCore() }), "core"],
  ])("%s is one warning, and works", async (_, nginx, text) => {
    provenWith(nginx());
    await withNginx({ prefix, server }, async (running) => {
      expect(await running.get("/")).toBe("hello|nil|nil");
      expect(await running.get("/")).toBe("hello|nil|nil");
      const warnings = running.errorLog().match(/\[warn\].*nffi: this nginx.*/g) ?? [];
      expect(warnings.length, running.errorLog()).toBe(1);
      expect(warnings[0]).toContain(text);
      expect(warnings[0]).toContain("nffi verify");
    });
  });

  test("the nginx of the proof is no warning", async () => {
    await withNginx({ prefix, server }, async (running) => {
      expect(await running.get("/")).toBe("hello|nil|nil");
      expect(running.errorLog()).not.toContain("[warn]");
    });
  });

  test("a glue that cannot be opened is an error of load, and nginx starts", async () => {
    // renamed, not written: an nginx that is about to end has it mapped
    const glue = join(prefix, "nffi/lib/libnffi_glue.so");
    const kept = `${glue}.kept`;
    renameSync(glue, kept);
    try {
      writeFileSync(glue, "no library");
      await withNginx({ prefix, server }, async (running) => {
        const response = await running.get("/");
        expect(response).toMatch(/^nil\|the glue of nffi cannot be loaded: .*\|unsupported_nginx$/);
      });
    } finally {
      renameSync(kept, glue);
    }
  });

  // the master keeps the glue mapped, and reads the Lua files again
  test("a glue of another version in memory is an error of load until nginx restarts", async () => {
    const file = join(prefix, "lualib/resty/nffi/glue.lua");
    const text = readFileSync(file, "utf8");
    const http = 'init_by_lua_block { require "resty.nffi" }';
    const rest = `location /rest { content_by_lua_block {
      local nffi = require "resty.nffi"
      ngx.print(select(3, ngx.load_ffi("x")), " ", tostring(pcall(nffi.metrics)), " ", tostring(pcall(nffi.metrics, "prometheus")))
    } }`;
    await withNginx({ prefix, http, server: `${server}\n${rest}` }, async (running) => {
      expect(await running.get("/")).toBe("hello|nil|nil");
      try {
        writeFileSync(file, text.replace(/^local ABI = \d+$/m, "local ABI = 0"));
        await running.reload();
        expect(await running.get("/")).toMatch(
          /^nil\|nginx has the glue of another version of nffi in memory.*: restart nginx.*\|unsupported_nginx$/,
        );
        expect(await running.get("/rest")).toBe("unsupported_nginx true true");
      } finally {
        writeFileSync(file, text);
      }
      await running.reload();
      expect(await running.get("/")).toBe("hello|nil|nil");
    });
  });

  test("a field at another place is an error of load, not a crash", async () => {
    // as another nginx would have it: this one says that it has as many workers
    const lie = `init_worker_by_lua_block { ngx.worker.count = function() return 77 end }`;
    await withNginx({ prefix, server, http: lie }, async (running) => {
      expect(await running.get("/")).toMatch(
        /^nil\|this nginx has ngx_core_conf_t at another place.*nffi attach.*\|unsupported_nginx$/,
      );
    });
  });

  // the second request finds it known; ngx_lua's own semaphores work on
  test("another structure of a coroutine in ngx_lua is an error of each call", async () => {
    const env = { ...process.env, LD_PRELOAD: preload("other_wait", temporaryFolder()) };
    const calls = `location /calls { content_by_lua_block {
      local rt = assert(require("resty.nffi").load("${join(prefix, "nffi/lib/libnffi_echo.so")}"))
      local sema = assert(require("ngx.semaphore").new())
      local function wait() return sema:wait(1) end
      local function call() return select(3, rt:call("x")) end
      local waits = ngx.thread.spawn(wait)
      local inside = ngx.thread.spawn(function() return coroutine.wrap(call)() end)
      ngx.print(call(), " ", select(2, ngx.thread.wait(inside)), " ")
      ngx.print(select(3, rt:stream("1 1", { method = "count" }):read()), " ")
      inside = nil
      collectgarbage()
      sema:post()
      ngx.print(select(2, ngx.thread.wait(waits)), " ", rt:state().awaited)
    } }`;
    await withNginx({ prefix, server: calls, env }, async (running) => {
      const workers = running.workers();
      const refused = "unsupported_nginx unsupported_nginx unsupported_nginx true 0";
      expect(await running.get("/calls")).toBe(refused);
      expect(await running.get("/calls")).toBe(refused);
      expect(running.workers()).toEqual(workers);
    });
  });

  // The first queue is free, and the second has logged and is free, before the event loop looks: it
  // gets the wake-up that frees both, and behind it in the same batch the one of the second log.
  // A read of freed memory crashes.
  test("a queue that ends while its wake-up is in the same turn as another's end", async () => {
    const library = nativeRuntime(prefix, "lingering");
    const close = `local nffi = require "resty.nffi"
      local ffi = require "ffi"
      ffi.cdef "int usleep(unsigned int us);"
      for _, ms in ipairs { "200", "250" } do
        local rt = assert(nffi.load("${library}", { config = ms }))
        assert(rt:call("x"))
        rt:close()
      end
      ngx.sleep(0.1)
      ffi.C.usleep(400000)
      ngx.say("blocked")`;
    const env = { ...process.env, LD_PRELOAD: nativeRuntime(prefix, "poison") };
    const locations = `location = /close { content_by_lua_block { ${close} } }\n${server}`;
    await withNginx({ prefix, server: locations, env, logLevel: "notice" }, async (running) => {
      const workers = running.workers();
      expect(await running.get("/close")).toBe("blocked\n");
      await running.waitForLog(/lets go[\s\S]*lets go/);
      expect(await running.get("/")).toBe("hello|nil|nil");
      expect(running.workers()).toEqual(workers);
      expect(running.errorLog()).not.toContain("exited on signal");
    });
  });
});

// Every error code that docs/lua.md lists, provoked in a real nginx. The last test compares the
// codes that were seen with the table there.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { placeOf } from "../support/attached-conf.js";
import { repository } from "../support/cli.js";
import { content } from "../support/lua.js";
import { nativeRuntime } from "../support/native-runtime.js";
import { type Nginx, startNginx, withNginx } from "../support/nginx.js";
import { anySuite, builtOpenresty } from "../support/openresty.js";

const MODULE = `
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
export const fail = () => { throw new RangeError("no luck"); };
export const slow = async (ms) => { await wait(ms); return ms; };
export const die = () => process.exit(7);
export const echo = (value) => value;
`;

/**
 * Each returns the values of a failed call or load; native is the echo library, node the module.
 */
const PROVOKED: Record<string, string> = {
  runtime_error: `return native.methods:fail("why")`,
  "runtime_error in Node": `return node.methods:fail()`,
  timeout: `return native.methods:sleep("300", { timeout = 10 })`,
  "timeout in Node": `return node.methods:slow(300, { timeout = 10 })`,
  queue_full: `
    local one = assert(nffi.load(ECHO, { config = "1", max_queue = 2, max_tasks = 2 }))
    for _ = 1, 2 do ngx.thread.spawn(function() return one.methods:sleep("100") end) end
    return one:call("x")`,
  "queue_full by bytes": `
    local one = assert(nffi.load(ECHO, { config = "7", max_bytes = 1000 }))
    ngx.thread.spawn(function() return one.methods:sleep("100" .. (" "):rep(600)) end)
    return one:call(("x"):rep(600))`,
  "queue_full by bytes in Node": `
    local one = assert(nffi.load("node", { module = "m.mjs", config = "b", max_bytes = 1000 }))
    ngx.thread.spawn(function() return one.methods:slow(100) end)
    return one.methods:echo(("x"):rep(990))`,
  "invalid by max_bytes": `
    return assert(nffi.load(ECHO, { config = "7", max_bytes = 1000 })):call(("x"):rep(1001))`,
  "invalid by max_bytes in Node": `
    local one = assert(nffi.load("node", { module = "m.mjs", config = "b", max_bytes = 1000 }))
    return one.methods:echo(("x"):rep(1000))`,
  closed: `
    local mine = assert(nffi.load(ECHO, { config = "2" }))
    mine:close()
    return mine:call("x")`,
  "closed in Node": `
    local mine = assert(nffi.load("node", { module = "m.mjs", config = "closed" }))
    mine:close()
    return mine:call("x")`,
  runtime_down: `
    local mine = assert(nffi.load("node", { module = "m.mjs", config = "down" }))
    return mine.methods:die()`,
  "runtime_down of a module": `return assert(nffi.load("node", { module = "none.mjs" })):call("x")`,
  codec_error: `
    return assert(nffi.load(ECHO, { config = "3", codec = "json" })).methods:echo(print)`,
  "codec_error of an answer": `
    local codec = { encode = tostring, decode = function() return nil, "not mine" end }
    return assert(nffi.load(ECHO, { config = "3", codec = codec })).methods:echo("x")`,
  busy: `
    local held = native:stream("300", { method = "sleep" })
    ngx.thread.spawn(function() held:read() end)
    local a, b, c = held:read()
    held:close()
    return a, b, c`,
  wrong_request: `
    local stream, result = native:stream("3 1", { method = "count" }), nil
    ngx.timer.at(0, function() result = { n = select("#", stream:read()), stream:read() } end)
    while not result do ngx.sleep(0.01) end
    return unpack(result, 1, 3)`,
  wrong_phase: `
    local a, b, c
    string.gsub("x", "x", function() a, b, c = native:call("x") end)
    return a, b, c`,
  wrong_process: `return nil, in_init[1], in_init[2]`,
  wrong_thread: `return select(2, ngx.run_worker_thread("pool", "in_thread", "load", ECHO))`,
  // Java reads the manifest at its first load
  no_language: `
    local product = require "resty.nffi.product"
    local root = product.ROOT
    product.ROOT = ngx.config.prefix() .. "without-java"
    local a, b, c = nffi.load("java", { module = "com.example.App" })
    product.ROOT = root
    return a, b, c`,
  no_library: `return nffi.load("/no/such.so")`,
  no_entry: `return nffi.load("libz.so.1")`,
  abi_mismatch: `return nffi.load(OTHER_ABI)`,
  "abi_mismatch of a process": `
    return assert(nffi.load("node", { module = "m.mjs", program = ATTACH })):call("x")`,
  not_reloadable: `return native:reload()`,
  reload_failed: `
    local mine = assert(nffi.load(ECHO, { config = "6" }))
    return mine:reload({ library = "/no/such.so" })`,
  reloading: `
    local mine = assert(nffi.load("node", { module = "m.mjs", config = "reloaded" }))
    assert(mine.methods:echo(1))
    local thread = ngx.thread.spawn(mine.reload, mine)
    local a, b, c = mine:reload()
    ngx.thread.wait(thread)
    return a, b, c`,
  load_failed: `return nffi.load(ECHO, { config = "none" })`,
  "load_failed of a program": `
    return assert(nffi.load("node", { module = "m.mjs", program = "/no/node" })):call("x")`,
  invalid: `
    local old = assert(ngx.load_nonblocking_ffi(ECHO, "4"))
    local ok, code, message = old[("x"):rep(256)](old, "x")
    return ok, message, code`,
};

const EXPECTED: Record<string, RegExp> = {
  reload_failed:
    /^nil\|the runtime ".*" cannot be reloaded, the old code stays: \/no\/such\.so: .*\|reload_failed$/,
  not_reloadable: /^nil\|.*stays open for the life.*\|not_reloadable$/,
  reloading: /^nil\|.*is being reloaded already\|reloading$/,
  runtime_error: /^nil\|why\|runtime_error\|nffi_echo$/,
  "runtime_error in Node": /^nil\|no luck\|runtime_error\|RangeError: no luck\n\s+at fail /,
  timeout: /^nil\|method "\w+": the runtime ".*" has not responded within \d+ ms\|timeout\|nil$/,
  "timeout in Node":
    /^nil\|method "\w+": the runtime "m\.mjs" has not responded within \d+ ms\|timeout\|nil$/,
  queue_full:
    /^nil\|the queue of the runtime ".*" is full: 2 calls (wait \(max_queue\)|are unanswered \(max_tasks\))\|queue_full\|nil$/,
  "queue_full by bytes":
    /^nil\|the queue of the runtime ".*" is full: 608 bytes .* unanswered \(max_bytes\)\|queue_full\|nil$/,
  "queue_full by bytes in Node":
    /^nil\|.* is full: 7 bytes of requests are unanswered \(max_bytes\)\|queue_full\|nil$/,
  "invalid by max_bytes": /^nil\|the payload is larger .*\(max_bytes\).*\|invalid\|nil$/,
  "invalid by max_bytes in Node": /^nil\|.*larger .*\(max_bytes\).*\|invalid\|nil$/,
  closed: /^nil\|the runtime ".*" is closed\|closed\|nil$/,
  "closed in Node": /^nil\|the runtime "m\.mjs" is closed\|closed\|nil$/,
  runtime_down:
    /^nil\|method "\w+": the runtime "m\.mjs" is down: .*exit code 7.*\|runtime_down\|nil$/,
  "runtime_down of a module":
    /^nil\|(method "\w+": )?the runtime "none\.mjs" is down: .*none\.mjs.*\|runtime_down\|/,
  codec_error: /^nil\|cannot encode the payload: .*function.*\|codec_error$/,
  "codec_error of an answer": /^nil\|cannot decode the response: not mine\|codec_error$/,
  busy: /^nil\|.*\|busy$/,
  wrong_request: /^nil\|.*\|wrong_request$/,
  wrong_phase: /^nil\|attempt to yield across C-call boundary.*\|wrong_phase$/,
  wrong_process: /^nil\|a runtime cannot be loaded in init_by_lua\*.*\|wrong_process$/,
  wrong_thread: /^nil\|.*ngx\.run_worker_thread\(\).*\|wrong_thread$/,
  no_language:
    /^nil\|this product was built without Java: no JDK; install a JDK and run `nffi build` again\|no_language$/,
  no_library: /^nil\|\/no\/such\.so: cannot open .*\|no_library$/,
  no_entry: /^nil\|libz\.so\.1 is not a runtime: it exports none of .*\|no_entry$/,
  abi_mismatch: /^nil\|.*libother_abi\.so is built for ABI 99, this nginx has ABI 1\|abi_mismatch$/,
  "abi_mismatch of a process":
    /^nil\|(method "\w+": )?the runtime "m\.mjs" is down: its libnffi has queue ABI 99, this nginx has 3\|abi_mismatch\|nil$/,
  load_failed: /^nil\|.* did not start: the configuration is the number of threads.*\|load_failed$/,
  "load_failed of a program":
    /^nil\|.* is down: .*exec\("\/no\/node"\) as user ".*" failed \(2: No such file or directory\)\|load_failed\|nil$/,
  invalid: /^nil\|the payload is larger than a queue takes \(max_bytes\), or .*255 bytes\|invalid$/,
};

const seen = new Set<string>();

function remember(text: string): void {
  seen.add(text.trim().split("|")[2] ?? "");
}

/** A program whose libnffi has version 99 of the shared memory. */
function programOfAnotherAbi(folder: string): string {
  const copy = join(folder, "c-src");
  // the copy of an earlier run may have files that have moved since
  rmSync(copy, { recursive: true, force: true });
  cpSync(join(repository, "c-src/include"), join(copy, "include"), { recursive: true });
  cpSync(join(repository, "c-src/lib"), join(copy, "lib"), { recursive: true });
  const header = join(copy, "lib/shared/region.h");
  writeFileSync(
    header,
    readFileSync(header, "utf8").replace(/(#define NFFI__REGION_ABI) \d+/, "$1 99"),
  );
  const program = join(folder, "attach");
  const sources = readdirSync(join(copy, "lib"), { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".c"),
  );
  execFileSync(process.env.CC ?? "cc", [
    ...["-std=gnu11", "-pthread", `-I${copy}/include`, `-I${copy}/lib`, "-o", program],
    join(repository, "test/fixtures/attach.c"),
    ...sources.map((name) => join(copy, "lib", name)),
  ]);
  return program;
}

describe("the error codes of docs/lua.md", () => {
  let nginx: Nginx;
  let prefix: string;
  let echo: string;

  beforeAll(async () => {
    prefix = await builtOpenresty(anySuite);
    echo = join(prefix, "nffi/lib/libnffi_echo.so");
    const folder = join(repository, ".nffi/test/runtimes");
    const otherAbi = nativeRuntime(prefix, "other_abi");
    const attach = programOfAnotherAbi(folder);
    const names = `local ECHO, OTHER_ABI, ATTACH = "${echo}", "${otherAbi}", "${attach}"`;
    nginx = await startNginx({
      prefix,
      files: {
        "m.mjs": MODULE,
        "without-java/nffi.json": '{ "java": { "reason": "no JDK" } }',
        "in_thread.lua": 'return { load = require("resty.nffi").load }',
      },
      main: "thread_pool pool threads=1;",
      http: `lua_package_path "@DIR@/?.lua;;";
      init_by_lua_block {
        in_init = { select(2, require("resty.nffi").load("${echo}")) }
      }`,
      server: Object.entries(PROVOKED)
        .map(([name, code]) =>
          content(
            `= /${name.replaceAll(" ", "_")}`,
            `${names}
             local native = assert(nffi.load(ECHO, { config = "4" }))
             local node = assert(nffi.load("node", { module = "m.mjs" }))
             ngx.say(show((function() ${code} end)()))`,
          ),
        )
        .join("\n"),
    });
  });

  afterAll(async () => {
    await nginx?.stop({ signal: "SIGQUIT" });
  });

  test.each(Object.keys(PROVOKED))("%s", async (name) => {
    const text = await nginx.get(`/${name.replaceAll(" ", "_")}`);
    remember(text);
    expect(text.trim()).toMatch(EXPECTED[name] ?? /never/);
    expect(nginx.errorLog()).not.toMatch(/exited on signal/);
  });

  test("client_gone", async () => {
    const code = `local native = assert(nffi.load("${echo}"))
      ngx.log(ngx.WARN, "read: ", show(native:stream("60000", { method = "sleep" }):read()), "|")`;
    await withNginx({ prefix, server: content("= /", code) }, async (other) => {
      const client = createConnection({ port: other.port, host: "127.0.0.1" });
      client.on("error", () => {}).write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      await new Promise((resolve) => setTimeout(resolve, 200));
      client.resetAndDestroy();
      const log = await other.waitForLog(/read: .*\|/);
      const text = /read: (.*?)\|, client/.exec(log)?.[1] ?? "";
      remember(text);
      expect(text).toBe("nil|the client is gone|client_gone|nil");
    });
  });

  test("wrong_event_method", async ({ skip }) => {
    if (!hasPoll()) {
      seen.add("wrong_event_method");
      skip("this nginx has no poll and no select");
    }
    for (const method of ["poll", "select"]) {
      const server = content("= /", `ngx.print(show(nffi.load("${echo}")))`);
      const events = `use ${method};`;
      await withNginx({ prefix, events, connections: 256, server }, async (other) => {
        const text = await other.get("/");
        remember(text);
        expect(text).toMatch(/^nil\|the event method .* has no notify: .*\|wrong_event_method$/);
      });
    }
  });

  /** Debian's packages have epoll only, the products of the tests have all three. */
  function hasPoll(): boolean {
    const program = placeOf(prefix).program ?? join(prefix, "nginx/sbin/nginx");
    return spawnSync(program, ["-V"], { encoding: "utf8" }).stderr.includes("--with-poll_module");
  }

  test("no_program", async () => {
    // as in a container without Node
    const server = content(
      "= /",
      `local node = require "resty.nffi.node"
       for i = 1, 60 do
           local name, value = debug.getupvalue(node.start, i)
           if name == "spec" then
               value.programs = { "/no/node", "/nowhere/node" }
           end
       end
       ngx.print(show(assert(nffi.load("node", { module = "m.mjs" })):call("x")))`,
    );
    await withNginx({ prefix, server, files: { "m.mjs": MODULE } }, async (other) => {
      const text = await other.get("/");
      remember(text);
      expect(text).toMatch(
        /^nil\|.* is down: no program that this user may run; tried \/no\/node, \/nowhere\/node: name .*\|no_program\|nil$/,
      );
    });
  });

  test.runIf(process.getuid?.() === 0)("not_permitted", async () => {
    const server = content(
      "= /",
      `ngx.print(show(nffi.load("node", { module = "m.mjs", nice = -1 })))`,
    );
    const main = "user nobody nogroup;";
    await withNginx({ prefix, main, server, files: { "m.mjs": MODULE } }, async (other) => {
      const text = await other.get("/");
      remember(text);
      expect(text).toMatch(/^nil\|a negative nice .*"nobody"\|not_permitted$/);
    });
  });

  test("no_memory", async () => {
    const server = content(
      "= /",
      `local rt = assert(nffi.load("node", { module = "m.mjs", arena = 65536 }))
       rt.methods:echo(1)
       local files = {}
       for i = 1, 64 do files[i] = io.open("/dev/null") end
       local result = show(rt.methods:echo(("x"):rep(1000000)))
       for _, file in pairs(files) do file:close() end
       ngx.print(result)`,
    );
    const main = "worker_rlimit_nofile 64;";
    await withNginx({ prefix, main, server, files: { "m.mjs": MODULE } }, async (other) => {
      const text = await other.get("/");
      remember(text);
      expect(text).toBe("nil|not enough memory|no_memory|nil");
    });
  });

  test("exiting", async () => {
    const server = content(
      "= /",
      `local rt = assert(nffi.load("${echo}", { config = "1" }))
       assert(ngx.timer.at(0, function() ngx.log(ngx.WARN, "ended: ", show(rt.methods:sleep("4000"))) end))`,
    );
    const main = "worker_shutdown_timeout 1s;";
    await withNginx({ prefix, main, server }, async (other) => {
      await other.get("/");
      other.signal("SIGQUIT");
      const log = await other.waitForLog(/ended: /);
      const text = /ended: ([^,]*)/.exec(log)?.[1] ?? "";
      remember(text);
      expect(text).toMatch(
        /^nil\|method "\w+": the worker exits and the runtime ".*" has not responded within the grace period \(\d+ ms\)\|exiting\|nil/,
      );
    });
  });

  // only root can run the worker as another user
  test.runIf(process.getuid?.() === 0)("are all of them", () => {
    const manual = readFileSync(join(repository, "docs/lua.md"), "utf8");
    const table = (manual.split("## Errors")[1] ?? "").split(/^## /m)[0] ?? "";
    const listed = [...table.matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(([, names = ""]) =>
      [...names.matchAll(/`([a-z_]+)`/g)].map(([, name]) => name ?? ""),
    );
    // only an attached nginx has it: engine-attached.test.ts
    expect([...seen, "unsupported_nginx"].sort()).toEqual(listed.sort());
  });
});

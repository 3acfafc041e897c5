// A library in Go or Rust adds many threads to the worker, and Go adds signal handlers. nginx and
// Lua must handle signals and child processes as they do without the library.
import { readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Nginx, startNginx, until, withNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { NATIVE_LANGUAGES, type NativeBuild, type NativeLanguage } from "./native-languages.js";

const SIGHUP = 1;
const SIGCHLD = 17;

/** HUP, INT, QUIT, USR1, USR2, PIPE, ALRM, TERM, CHLD, WINCH, IO, SYS. */
const NGINX_SIGNALS = [SIGHUP, 2, 3, 10, 12, 13, 14, 15, SIGCHLD, 28, 29, 31];

const content = (code: string) => `content_by_lua_block { ${code} }`;

const server = ({ spin, exited }: NativeLanguage, { library }: NativeBuild) => `
location = /hello { ${content(`
    local rt = assert(require("resty.nffi").load("${library}", { codec = "json" }))
    ngx.print(rt.methods:hello({ name = ngx.var.arg_name or "x" }).greeting)`)} }
location = /spin { ${content(`
    local rt = assert(require("resty.nffi").load("${library}", { codec = "json" }))
    ngx.print(rt.methods:spin(${spin}))`)} }
location = /shells { ${content(`
    local rt = assert(require("resty.nffi").load("${library}"))
    local failed = 0
    for i = 1, 50 do
        local got = rt:call("exit " .. i % 3, { method = "shell" })
        local want = i % 3 == 0 and "" or " (${exited} " .. i % 3 .. ")"
        if got ~= want then failed = failed + 1; ngx.log(ngx.ERR, tostring(got)) end
    end
    ngx.print(failed)`)} }
location = /lua-children { ${content(`
    local seen = {}
    local function see(...)
        local all = { ... }
        for i = 1, select("#", ...) do all[i] = tostring(all[i]) end
        local text = table.concat(all, ",")
        seen[text] = (seen[text] or 0) + 1
    end
    for i = 1, 100 do
        see("execute", os.execute("exit " .. i % 2))
        local pipe = io.popen("echo out; exit 3")
        see("popen", pipe:read("*a"):gsub("\\n", ""))
        see("closed", pipe:close())
    end
    local lines = {}
    -- what close() gives is luck in any nginx: its handler of SIGCHLD waits for all children
    for text, count in pairs(seen) do
        lines[#lines + 1] = text:find("^closed") and "closed" or text .. " " .. count
    end
    table.sort(lines)
    ngx.print((table.concat(lines, "\\n"):gsub("closed\\nclosed", "closed")))`)} }
location = /tgkill { ${content(`
    local ffi = require "ffi"
    pcall(ffi.cdef, "long syscall(long number, ...);")
    ngx.print(tonumber(ffi.C.syscall(ffi.new("long", tonumber(ngx.var.arg_number)), ffi.new("int", ngx.worker.pid()),
        ffi.new("int", tonumber(ngx.var.arg_tid)), ffi.new("int", tonumber(ngx.var.arg_signal)))))`)} }
`;

const TGKILL = process.arch === "arm64" ? 131 : 234;

/** Threads of a process but its first one. */
function threadsOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`)
    .map(Number)
    .filter((tid) => tid !== pid);
}

/** nginx's signals that a thread blocks; a program that it starts would block them as well. */
function blockedBy(pid: number, tid: number): number[] {
  const status = readFileSync(`/proc/${pid}/task/${tid}/status`, "utf8");
  const blocked = BigInt(`0x${/^SigBlk:\t(\w+)/m.exec(status)?.[1]}`);
  return NGINX_SIGNALS.filter((signal) => (blocked >> BigInt(signal - 1)) & 1n);
}

describe.each(NATIVE_LANGUAGES)("with a library in $language and many of its threads", (of) => {
  let prefix: string;
  let built: NativeBuild;
  let nginx: Nginx;
  let worker: number;
  const options = () => ({ prefix, server: server(of, built) });

  beforeAll(async () => {
    prefix = await builtOpenresty();
    built = of.build(prefix);
    nginx = await startNginx(options());
    await nginx.get("/spin");
    worker = nginx.workers()[0] as number;
    await until(
      () => threadsOf(worker).length > 20,
      10_000,
      () => `${threadsOf(worker).length} threads`,
    );
  });

  afterAll(async () => {
    await nginx?.stop();
    built?.remove();
  });

  // the kernel prefers nginx's own thread, so only a signal for a thread shows it
  test("a signal of nginx that one of them takes is handed on to nginx's thread", async () => {
    const threads = threadsOf(worker);
    for (const tid of threads) {
      // glibc blocks all of them until a new thread runs
      await expect.poll(() => blockedBy(worker, tid), { message: `thread ${tid}` }).toEqual([]);
    }
    for (const tid of threads) {
      for (const signal of [SIGHUP, SIGCHLD]) {
        const sent = `/tgkill?number=${TGKILL}&tid=${tid}&signal=${signal}`;
        expect(await nginx.get(sent)).toBe("0");
      }
    }
    expect(await nginx.get("/hello?name=alive")).toBe(`${of.greeting} alive`);
    // a child of Lua is one that nginx looks after; the thread's number stands behind the #
    await until(
      async () => {
        await nginx.get("/lua-children");
        const log = nginx.errorLog();
        return log.includes("(SIGCHLD) received") && log.includes("(SIGHUP) received");
      },
      10_000,
      () => nginx.errorLog(),
    );
    const log = nginx.errorLog();
    const handled = [...log.matchAll(/(\d+)#(\d+): signal (?:1|17) /g)].map((match) => match[2]);
    expect([...new Set(handled)]).toEqual([`${worker}`]);
    expect(nginx.workers()).toEqual([worker]);
  });

  test("os.execute and io.popen return the same as without it", async () => {
    const seen = await nginx.get("/lua-children");
    await withNginx(options(), async (plain) => {
      expect(seen).toBe(await plain.get("/lua-children"));
    });
  });

  test("the exit status of a program that it runs is its own", async () => {
    expect(await nginx.get("/shells"), nginx.errorLog()).toBe("0");
    expect(nginx.workers()).toEqual([worker]);
  });

  test("USR1 opens the log again, for the worker, too", async () => {
    const log = join(nginx.dir, "logs/error.log");
    renameSync(log, `${log}.1`);
    nginx.signal("SIGUSR1");
    const reopened = () => {
      try {
        return readFileSync(log, "utf8");
      } catch {
        return "";
      }
    };
    await until(
      async () => {
        await nginx.request("/nothing-there");
        return reopened().includes(`${worker}#${worker}: *`);
      },
      10_000,
      reopened,
    );
  });

  test("reload and quit work", async () => {
    await nginx.reload();
    await until(
      () => !nginx.workers().includes(worker),
      10_000,
      () => nginx.errorLog(),
    );
    expect(await nginx.get("/hello?name=new")).toBe(`${of.greeting} new`);
    await nginx.stop({ signal: "SIGQUIT" });
    expect(nginx.errorLog()).toBe("");
  });

  test("ended by SIGTERM with all its threads, nginx leaves nothing and says nothing of a crash", async () => {
    const nginx = await startNginx(options());
    await nginx.get("/spin");
    nginx.signal("SIGTERM");
    await nginx.waitForLog(/worker process \d+ exited with code 0/);
    expect(nginx.errorLog()).not.toMatch(/exited on signal/);
    await nginx.stop();
  });
});

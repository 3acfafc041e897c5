// A library in Rust brings threads of its own into the worker. What nginx and Lua do with signals and
// with child processes must be as it is in an nginx without it.
import { readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Nginx, startNginx, until, withNginx } from "../support/nginx.js";
import { builtOpenresty } from "../support/openresty.js";
import { buildRustRuntime, type RustRuntime } from "../support/rust-runtime.js";

let prefix: string;
let built: RustRuntime;

beforeAll(async () => {
  prefix = await builtOpenresty();
  built = buildRustRuntime("test/fixtures/rust", prefix);
});

afterAll(() => built?.remove());

const content = (code: string) => `content_by_lua_block { ${code} }`;

const server = () => `
location = /rust { ${content(`
    local rt = assert(require("resty.nffi").load("${built.library}", { codec = "json" }))
    ngx.print(rt.methods:hello({ name = ngx.var.arg_name or "x" }).greeting)`)} }
location = /spin { ${content(`
    local rt = assert(require("resty.nffi").load("${built.library}", { codec = "json" }))
    ngx.print(rt.methods:spin({ threads = 20, ms = 60000 }))`)} }
location = /shells { ${content(`
    local rt = assert(require("resty.nffi").load("${built.library}"))
    local failed = 0
    for i = 1, 50 do
        local got = rt:call("exit " .. i % 3, { method = "shell" })
        local want = i % 3 == 0 and "" or " (exit status: " .. i % 3 .. ")"
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
`;

/** Threads of a process but its first one. */
function threadsOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`)
    .map(Number)
    .filter((tid) => tid !== pid);
}

function blockedBy(pid: number, tid: number): bigint {
  const status = readFileSync(`/proc/${pid}/task/${tid}/status`, "utf8");
  return BigInt(`0x${/^SigBlk:\t(\w+)/m.exec(status)?.[1]}`);
}

/** HUP, INT, QUIT, USR1, USR2, PIPE, ALRM, TERM, CHLD, WINCH, IO, SYS. */
const NGINX_SIGNALS = [1, 2, 3, 10, 12, 13, 14, 15, 17, 28, 29, 31];

describe("with a library in Rust and many of its threads", () => {
  let nginx: Nginx;
  let worker: number;

  beforeAll(async () => {
    nginx = await startNginx({ prefix, server: server() });
    await nginx.get("/spin");
    worker = nginx.workers()[0] as number;
    await until(
      () => threadsOf(worker).length > 20,
      10_000,
      () => `${threadsOf(worker).length} threads`,
    );
  });

  afterAll(() => nginx?.stop());

  test("none of them takes a signal of nginx", () => {
    for (const tid of threadsOf(worker)) {
      const blocked = blockedBy(worker, tid);
      const taken = NGINX_SIGNALS.filter((signal) => !((blocked >> BigInt(signal - 1)) & 1n));
      expect(taken, `thread ${tid}`).toEqual([]);
    }
  });

  test("os.execute and io.popen give what they give without it", async () => {
    const seen = await nginx.get("/lua-children");
    await withNginx({ prefix, server: server() }, async (plain) => {
      expect(seen).toBe(await plain.get("/lua-children"));
    });
  });

  test("the exit status of a program that Rust runs is Rust's", async () => {
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
    expect(await nginx.get("/rust?name=new")).toBe("hello new");
    await nginx.stop({ signal: "SIGQUIT" });
    expect(nginx.errorLog()).toBe("");
  });
});

test("ended by SIGTERM with all its threads, nginx leaves nothing and says nothing of a crash", async () => {
  const nginx = await startNginx({ prefix, server: server() });
  await nginx.get("/spin");
  nginx.signal("SIGTERM");
  await nginx.waitForLog(/worker process \d+ exited with code 0/);
  expect(nginx.errorLog()).not.toMatch(/exited on signal/);
  await nginx.stop();
});

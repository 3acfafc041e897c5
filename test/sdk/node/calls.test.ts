// A TypeScript runtime in a separate Node process, called from Lua in a real nginx: values, errors,
// start, death and restart of the process, and its restrictions.
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { content } from "../../support/lua.js";
import { type Nginx, startNginx, until, withNginx } from "../../support/nginx.js";
import { anySuite, builtOpenresty, suites } from "../../support/openresty.js";

const HELLO = `
type Request = { name: string };
export const hello = (request: Request) => ({ greeting: \`hello \${request.name}\` });
export const later = async (ms: number) => { await new Promise((done) => setTimeout(done, ms)); return ms; };
export const config = (_: unknown, context: { config: unknown }) => context.config;
export const pid = () => process.pid;
export const boom = () => { throw new TypeError("no luck"); };
export const rejected = async () => { throw new Error("later no luck"); };
export const exit = (code: number) => process.exit(code);
export const spin = () => { for (;;); };
export const uncaught = () => { setTimeout(() => { throw new Error("nobody caught this"); }, 1); return later(5000); };
export const say = (words: string) => { console.log(words); console.warn("w:", words); };
export const big = () => 10n;
export default (bytes: Buffer) => bytes;
`;

/** The same with `rt`, the runtime of hello.ts, one for each value of the argument `config`. */
function withRuntime(path: string, code: string): string {
  return content(
    path,
    `local rt, err = nffi.load("node", { module = "hello.ts", config = { for_ = ngx.var.arg_config } })
     if not rt then ngx.say(err) return end
     ${code}`,
  );
}

const SERVER = [
  withRuntime(
    "= /hello",
    `ngx.say(assert(rt.methods:hello({ name = ngx.var.arg_name })).greeting)`,
  ),
  withRuntime("= /later", `ngx.say(rt.methods:later(tonumber(ngx.var.arg_ms)))`),
  withRuntime(
    "= /method",
    `ngx.say(show(rt.methods[ngx.var.arg_m](rt.methods, tonumber(ngx.var.arg_v))))`,
  ),
  withRuntime("= /config", `ngx.say(rt.methods:config().for_)`),
  withRuntime("= /say", `rt.methods:say(ngx.unescape_uri(ngx.var.arg_v))`),
  withRuntime("= /bytes", `ngx.req.read_body() ngx.print(rt:call(ngx.req.get_body_data() or ""))`),
  withRuntime("= /state", `ngx.say(rt:state().awaited, " ", rt:state().unanswered)`),
  `location = /plain { return 200 plain; }`,
].join("\n");

const HTTP = "client_max_body_size 100m; client_body_buffer_size 100m; lua_check_client_abort on;";

function isAlive(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) Z /.test(readFileSync(stat, "utf8"));
}

async function endOf(pid: number): Promise<void> {
  await until(
    () => !isAlive(pid),
    10_000,
    () => `process ${pid} is still there`,
  );
}

/** Pids of the Node processes of this nginx. */
function runtimesOf(nginx: Nginx): number[] {
  return nginx
    .family()
    .map(({ pid }) => pid)
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/exe`).endsWith("/node");
      } catch {
        return false;
      }
    });
}

/** Inodes of the queues that a process maps; of every process when none is given. */
function queuesMapped(pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name))): string[] {
  return pids.flatMap((pid) => {
    try {
      const maps = readFileSync(`/proc/${pid}/maps`, "utf8");
      return [...maps.matchAll(/ (\d+) +\/memfd:nffi-queue/g)].map((match) => match[1] ?? "");
    } catch {
      return []; // it has exited
    }
  });
}

describe.each(suites)("a TypeScript runtime, %s", (suite) => {
  let nginx: Nginx;

  beforeAll(async () => {
    const prefix = await builtOpenresty(suite);
    nginx = await startNginx({ prefix, files: { "hello.ts": HELLO }, http: HTTP, server: SERVER });
  });

  afterAll(async () => {
    await nginx?.stop({ signal: "SIGQUIT" });
  });

  test("answers a method with a value", async () => {
    expect(await nginx.get("/hello?name=world")).toBe("hello world\n");
  });

  test("answers 1,000 concurrent calls, each with its own value", async () => {
    const names = Array.from({ length: 1000 }, (_, i) => `n${i}`);
    const responses = await Promise.all(names.map((name) => nginx.get(`/hello?name=${name}`)));
    expect(responses).toEqual(names.map((name) => `hello ${name}\n`));
  });

  test("answers a slow call while others go by", async () => {
    const order: string[] = [];
    const slow = nginx.get("/later?ms=2000").then(() => order.push("slow"));
    await nginx.get("/hello?name=a");
    order.push("hello");
    await nginx.get("/plain");
    order.push("plain");
    await slow;
    expect(order).toEqual(["hello", "plain", "slow"]);
  });

  test.each([
    ["empty", Buffer.alloc(0)],
    ["small", Buffer.from("a\\0b")],
    ["1 MB", Buffer.alloc(1 << 20, "abcdefg")],
    ["64 MB", Buffer.alloc(64 << 20, "0123456789")],
  ])("passes bytes through: %s", async (_, body) => {
    const response = await nginx.request("/bytes", { method: "POST", body });
    expect(response.status).toBe(200);
    expect(response.body === body.toString("utf8")).toBe(true);
  });

  test("a throw, a rejection, a bad value and an unknown method fail that call", async () => {
    expect(await nginx.get("/method?m=boom")).toMatch(
      /^nil\|no luck\|runtime_error\|TypeError: no luck\n\s+at boom/,
    );
    expect(await nginx.get("/method?m=rejected")).toMatch(/^nil\|later no luck\|runtime_error\|/);
    expect(await nginx.get("/method?m=big")).toMatch(/^nil\|.*BigInt.*\|runtime_error\|/);
    expect(await nginx.get("/method?m=nope")).toMatch(
      /^nil\|unknown method "nope" in .*methods: .*hello/,
    );
    expect(await nginx.get("/hello?name=still")).toBe("hello still\n");
  });

  test("two configurations are two runtimes, the same one is one", async () => {
    expect(await nginx.get("/config?config=a")).toBe("a\n");
    expect(await nginx.get("/config?config=b")).toBe("b\n");
    const a = await nginx.get("/method?m=pid&config=a");
    expect(await nginx.get("/method?m=pid&config=a")).toBe(a);
    expect(await nginx.get("/method?m=pid&config=b")).not.toBe(a);
  });

  test("console output arrives in error.log with its level, and cannot forge lines", async () => {
    await nginx.get("/say?v=one%0atwo%1b[31m");
    const log = await nginx.waitForLog("w: one");
    expect(log).toMatch(/\[(info|notice)\] .*nffi: \[hello\.ts.*\] one/);
    expect(log).toMatch(/nffi: \[hello\.ts.*\] two\\x1b\[31m/);
    expect(log).toMatch(/\[warn\] .*nffi: \[hello\.ts.*\] w: one/);
  });

  test("process.exit fails what waits with the reason, and the process starts again", async () => {
    const waiting = nginx.get("/method?m=later&v=60000");
    await nginx.get("/hello?name=x");
    expect(await nginx.get("/method?m=exit&v=3")).toMatch(
      /runtime "hello\.ts" is down: .*exit code 3.*\|runtime_down/,
    );
    expect(await waiting).toMatch(/runtime "hello\.ts" is down/);
    await until(
      async () => (await nginx.get("/method?m=pid")).match(/^\d+/) !== null,
      10_000,
      () => "it does not come back",
    );
  });

  test("an uncaught exception does the same", async () => {
    expect(await nginx.get("/method?m=uncaught&config=u")).toMatch(
      /nobody caught this.*\|runtime_down/,
    );
  });

  test("a killed process fails its calls immediately and restarts", async () => {
    const pid = Number.parseInt(await nginx.get("/method?m=pid&config=k"), 10);
    const waiting = nginx.get("/method?m=later&v=60000&config=k");
    await nginx.get("/hello?name=x&config=k");
    process.kill(pid, "SIGKILL");
    expect(await waiting).toMatch(/is down: its process \d+ ended/);
    await until(
      async () => /^\d+/.test(await nginx.get("/method?m=pid&config=k")),
      10_000,
      () => "it does not come back",
    );
  });

  test("a client that goes leaves nothing behind", async () => {
    await nginx
      .request("/later?ms=300&config=c", { signal: AbortSignal.timeout(100) })
      .catch(() => undefined);
    await until(
      async () => (await nginx.get("/state?config=c")) === "0 0\n",
      5_000,
      () => "the call is not given up",
    );
  });

  test("the process holds no descriptor of nginx but its own", async () => {
    const pid = Number.parseInt(await nginx.get("/method?m=pid&config=fd"), 10);
    const links = readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return "";
      }
    });
    // the only socket is the control socket: nginx's listener and connections are not there
    expect(links.filter((link) => link.startsWith("socket:")).length).toBe(1);
    expect(links.filter((link) => link.includes("error.log"))).toEqual([]);
  });
});

describe("the life of a Node process and its worker", () => {
  let prefix: string;

  beforeAll(async () => {
    prefix = await builtOpenresty(anySuite);
  });

  const options = (more: object = {}) => ({
    prefix,
    files: { "hello.ts": HELLO },
    http: HTTP,
    server: SERVER,
    ...more,
  });

  test("a worker killed with SIGKILL takes its process along, even one in an endless loop", async () => {
    await withNginx(options(), async (nginx) => {
      const pid = Number.parseInt(await nginx.get("/method?m=pid"), 10);
      const spinning = nginx.get("/method?m=spin").catch(() => "cut off");
      await new Promise((resolve) => setTimeout(resolve, 200));
      const [worker] = nginx.workers();
      nginx.signal("SIGKILL", worker);
      expect(await spinning).toBe("cut off");
      await endOf(pid);
    });
  });

  test("quit answers the calls in flight before it ends; stop does not wait", async () => {
    const nginx = await startNginx(options());
    await nginx.get("/hello?name=x");
    const slow = nginx.get("/later?ms=1500");
    await new Promise((resolve) => setTimeout(resolve, 200));
    await nginx.stop({ signal: "SIGQUIT" });
    expect(await slow).toBe("1500\n");

    const stopped = await startNginx(options());
    const pid = Number.parseInt(await stopped.get("/method?m=pid"), 10);
    const lost = stopped.get("/later?ms=60000").catch(() => "cut off");
    await new Promise((resolve) => setTimeout(resolve, 200));
    await stopped.stop({ signal: "SIGTERM", timeoutMs: 3000 });
    expect(await lost).toBe("cut off");
    expect(isAlive(pid)).toBe(false);
  });

  test("reload answers the calls in flight, then the old process goes", async () => {
    await withNginx(options(), async (nginx) => {
      const old = Number.parseInt(await nginx.get("/method?m=pid"), 10);
      const slow = nginx.get("/later?ms=1500");
      await new Promise((resolve) => setTimeout(resolve, 200));
      await nginx.reload();
      let fresh = old;
      // a connection that was kept alive may still reach the old worker
      await until(
        async () => {
          fresh = Number.parseInt(await nginx.get("/method?m=pid"), 10);
          return fresh !== old;
        },
        5_000,
        () => "the new worker does not answer",
      );
      expect(await slow).toBe("1500\n");
      await endOf(old);
      expect(runtimesOf(nginx)).toEqual([fresh]);
    });
  });

  test.each(["SIGQUIT", "SIGTERM", "SIGKILL"] as const)(
    "%s with calls in flight leaves no process and no mapping of the queue",
    async (signal) => {
      const nginx = await startNginx(options());
      await nginx.get("/hello?name=x");
      const calls = Array.from({ length: 20 }, () =>
        nginx.get("/later?ms=500").catch(() => "cut off"),
      );
      await new Promise((resolve) => setTimeout(resolve, 100));
      const queues = queuesMapped(nginx.family().map(({ pid }) => String(pid)));
      expect(queues.length).toBeGreaterThan(1);
      if (signal === "SIGKILL") for (const worker of nginx.workers()) nginx.signal(signal, worker);
      // throws when a process, or a zombie, is left
      await nginx.stop({ signal: signal === "SIGKILL" ? "SIGTERM" : signal });
      await Promise.all(calls);
      expect(queuesMapped().filter((inode) => queues.includes(inode))).toEqual([]);
    },
  );

  test("a silent runtime keeps a leaving worker no longer than worker_shutdown_timeout", async () => {
    const nginx = await startNginx(options({ main: "worker_shutdown_timeout 1s;" }));
    await nginx.get("/hello?name=x");
    const slow = nginx.get("/later?ms=60000").catch(() => "cut off");
    await new Promise((resolve) => setTimeout(resolve, 200));
    await nginx.stop({ signal: "SIGQUIT", timeoutMs: 6000 });
    expect(await slow).toBeDefined();
  });

  test("each worker has its own process", async () => {
    // started by init_worker: which worker gets a request is not ours to choose
    const http = `${HTTP} init_worker_by_lua_block {
      assert(require("resty.nffi").load("node", { module = "hello.ts" }))
    }`;
    await withNginx(options({ workers: 2, http }), async (nginx) => {
      await until(
        () => runtimesOf(nginx).length === 2,
        10_000,
        () => `${runtimesOf(nginx).length} processes for two workers`,
      );
    });
  });

  test("works in a worker of the user nobody, whose environment nginx has emptied", async () => {
    await withNginx(options({ main: "user nobody nogroup;" }), async (nginx) => {
      expect(await nginx.get("/hello?name=nobody")).toBe("hello nobody\n");
    });
  });

  test("says which program the user may not run", async () => {
    const server = `location / { content_by_lua_block {
      local rt = require("resty.nffi").load("node", { module = "hello.ts", program = "@DIR@/private/node" })
      local _, err, code = rt.methods:hello("x")
      ngx.say(err, "|", code)
    } }`;
    await withNginx(
      { prefix, main: "user nobody nogroup;", server, files: { "private/node": "x" } },
      async (nginx) => {
        expect(await nginx.get("/")).toMatch(
          /cannot be started: exec\(".*\/private\/node"\) as user "nobody" failed \(13: Permission denied\)\|load_failed/,
        );
      },
    );
  });

  test("an instance as default export has its methods, own and inherited, with their this", async () => {
    const module = `
      class Base {
        readonly greeting: string;
        constructor(greeting: string) { this.greeting = greeting; }
        hello(name: string) { return this.greeting + " " + name; }
        async *count(to: number) { for (let i = 1; i <= to; i++) yield this.greeting + i; }
      }
      class Service extends Base {
        override hello(name: string) { return super.hello(name) + "!"; }
        twice(name: string) { return this.hello(this.hello(name)); }
        _hidden() { return "hidden"; }
      }
      export default new Service("hi");`;
    const server = `location / { content_by_lua_block {
      local rt = assert(require("resty.nffi").load("node", { module = "service.ts" }))
      ngx.say(rt.methods:hello("Ada"), " ", rt.methods:twice("Bob"))
      for part in rt.streams:count(2) do ngx.print(part, " ") end
      ngx.say((select(2, rt.methods:_hidden())))
    } }`;
    await withNginx({ prefix, server, files: { "service.ts": module } }, async (nginx) => {
      expect(await nginx.get("/")).toMatch(/^hi Ada! hi hi Bob!!\nhi1 hi2 .*_hidden.*\n$/);
    });
  });

  test("a program that never attaches is killed at the start limit, and its calls fail", async () => {
    const server = `location / { content_by_lua_block {
      local rt = assert(require("resty.nffi").load("node", {
          module = "hello.ts", program = "/bin/sh", node_args = { "-c", "sleep 60; true" }, start_timeout = 300 }))
      ngx.say((select(2, rt.methods:hello())))
    } }`;
    await withNginx({ prefix, server }, async (nginx) => {
      const begin = Date.now();
      expect(await nginx.get("/")).toMatch(
        /was not ready within the start limit \(start_timeout, 300 ms\) and is killed/,
      );
      expect(Date.now() - begin).toBeLessThan(10_000);
    });
  });

  test("the reason of an end is the line of Node that says why", async () => {
    const modules = {
      "eat.mjs":
        "export const eat = () => { for (const all = []; ; ) all.push(new Array(1e5).fill(all)); };",
    };
    // not at /, which is asked until nginx answers
    const server = `location /eat { content_by_lua_block {
      local rt = assert(require("resty.nffi").load("node", { module = "eat.mjs",
          node_args = { ngx.var.arg_o } }))
      ngx.say((select(2, rt.methods:eat())))
    } }`;
    await withNginx({ prefix, server, files: modules }, async (nginx) => {
      expect(await nginx.get("/eat?o=--max-old-space-size=24")).toMatch(
        /ended by signal 6 .*: FATAL ERROR: .*out of memory/,
      );
      expect(await nginx.get("/eat?o=--import=/nowhere/a.mjs")).toMatch(
        /ended with code 1: Error \[ERR_MODULE_NOT_FOUND\]: Cannot find module '\/nowhere\/a\.mjs'/,
      );
    });
  });

  test("says what is wrong with a module, and serves it once it is there", async () => {
    const server = `location / { content_by_lua_block {
      local rt = assert(require("resty.nffi").load("node", { module = "later.mjs" }))
      ngx.say((select(2, rt.methods:hello())) or "fine")
    } }`;
    await withNginx({ prefix, server, files: { "empty.txt": "" } }, async (nginx) => {
      expect(await nginx.get("/")).toMatch(/runtime "later\.mjs" is down: .*later\.mjs/);
      const { writeFileSync } = await import("node:fs");
      writeFileSync(`${nginx.dir}/later.mjs`, "export const hello = () => 1;");
      await until(
        async () => (await nginx.get("/")) === "fine\n",
        15_000,
        () => "it is not started again",
      );
    });
  });

  test("master_process off and lua_code_cache off", async () => {
    const more = { main: "master_process off;", http: `${HTTP} lua_code_cache off;` };
    await withNginx(options(more), async (nginx) => {
      const pid = await nginx.get("/method?m=pid");
      expect(await nginx.get("/method?m=pid")).toBe(pid);
    });
  });
});

// The code of a runtime is reloaded while nginx continues: no call is lost, the old instances end,
// and code that cannot be started changes nothing.
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { content } from "../support/lua.js";
import { nativeRuntime } from "../support/native-runtime.js";
import { type Nginx, type NginxOptions, until, withNginx } from "../support/nginx.js";
import { anySuite, builtOpenresty } from "../support/openresty.js";
import { runtimesOf, statOf } from "../support/processes.js";
import { temporaryFolder } from "../support/temporary.js";

const version = (n: number | string) => `
export const version = () => ${JSON.stringify(n)};
export const pid = () => process.pid;
export const slow = async (ms) => { await new Promise((done) => setTimeout(done, ms)); return ${JSON.stringify(n)}; };
export const spin = () => { for (;;); };
`;

const location = (options = "") => `
${content(
  "= /call",
  `local rt = assert(nffi.load("node", { module = "module.mjs", ${options} }))
   ngx.say(show(rt.methods[ngx.var.arg_m](rt.methods, tonumber(ngx.var.arg_v))))`,
)}
${content(
  "= /reload",
  `local rt = assert(nffi.load("node", { module = "module.mjs", ${options} }))
   ngx.say(show(rt:reload()))`,
)}
${content(
  "= /runtimes",
  `for _, runtime in ipairs(nffi.metrics().runtimes) do
       ngx.say(runtime.calls, " ", runtime.answers, " ", #runtime.processes, " ", runtime.unanswered)
   end`,
)}`;

describe("runtime:reload() of processes", () => {
  let prefix: string;

  beforeAll(async () => {
    prefix = await builtOpenresty(anySuite);
  });

  const options = (more: Partial<NginxOptions> = {}): NginxOptions => ({
    prefix,
    server: location(),
    files: { "module.mjs": version(1) },
    ...more,
  });

  const write = (nginx: Nginx, text: string) => writeFileSync(join(nginx.dir, "module.mjs"), text);

  const processesOf = (nginx: Nginx) => runtimesOf(nginx.workers()[0] ?? 0);

  test("the new code takes the new calls, the old one finishes its own", async () => {
    await withNginx(options(), async (nginx) => {
      expect(await nginx.get("/call?m=version")).toBe("1\n");
      const old = Number(await nginx.get("/call?m=pid"));
      const slow = nginx.get("/call?m=slow&v=1500");
      await new Promise((done) => setTimeout(done, 100));
      write(nginx, version(2));
      expect(await nginx.get("/reload")).toBe("true\n");
      expect(await nginx.get("/call?m=version")).toBe("2\n");
      expect(await slow).toBe("1\n");
      await until(
        () => statOf(old) === undefined,
        5_000,
        () => "the old process does not end",
      );
      expect(processesOf(nginx).length).toBe(1);
    });
  });

  test("code that cannot be loaded changes nothing, and the error is returned", async () => {
    await withNginx(options({ server: location("processes = 2") }), async (nginx) => {
      expect(await nginx.get("/call?m=version")).toBe("1\n");
      write(nginx, "throw new Error('broken build');");
      const slow = nginx.get("/call?m=slow&v=800");
      expect(await nginx.get("/reload")).toMatch(
        /^nil\|the runtime "module\.mjs" cannot be reloaded, the old code stays: .*broken build.*\|reload_failed/,
      );
      expect(await nginx.get("/call?m=version")).toBe("1\n");
      expect(await slow).toBe("1\n");
      await until(
        () => processesOf(nginx).length === 2,
        5_000,
        () => `${processesOf(nginx).length} processes`,
      );
      write(nginx, version(3));
      expect(await nginx.get("/reload")).toBe("true\n");
      expect(await nginx.get("/call?m=version")).toBe("3\n");
    });
  });

  test("one reload after another is not refused, and each has its own result", async () => {
    const server = `${location()}
      ${content(
        "= /mixed",
        `local runtimes = require "resty.nffi.runtimes"
         local rt = assert(nffi.load("node", { module = "module.mjs" }))
         local file = ngx.config.prefix() .. "module.mjs"
         local function write(text)
             local f = assert(io.open(file, "w")) f:write(text) f:close()
         end
         local before = rt.methods:pid()
         local good = ngx.thread.spawn(rt.reload, rt)
         -- as soon as the new process serves, before the first one looks again
         repeat until rt.methods:pid() ~= before
         write("throw new Error('broken build')")
         local reload = assert(runtimes.reload(rt._pointer))
         ngx.say(show(ngx.thread.wait(good)))
         local done, message, code
         repeat ngx.sleep(0.01) done, message, code = runtimes.reloaded(reload) until done ~= false
         ngx.say(code)
         write("export const pid = () => process.pid;")
         for i = 1, 3 do ngx.say(show(rt:reload())) end
         local thread = ngx.thread.spawn(rt.reload, rt)
         ngx.sleep(0.01)
         rt:close()
         ngx.say(show(ngx.thread.wait(thread)))`,
      )}`;
    // the user of a worker that root has started may not write into nginx's directory
    const main = process.getuid?.() === 0 ? "user root;" : "";
    await withNginx(options({ server, main }), async (nginx) => {
      expect((await nginx.get("/mixed")).split("\n")).toEqual([
        "true|true",
        "reload_failed",
        ...["true", "true", "true"],
        'true|nil|the runtime "module.mjs" is closed|closed',
        "",
      ]);
    });
  });

  test("no call is lost in 50 reloads under load, and nothing is left", async () => {
    await withNginx(options({ server: location("processes = 2") }), async (nginx) => {
      await nginx.get("/call?m=version");
      let asked = 0;
      let going = true;
      const wrong: string[] = [];
      const ask = async (n: number) => {
        while (going) {
          asked += 1;
          const path = n % 3 === 0 ? "/call?m=slow&v=20" : "/call?m=version";
          const response = await nginx.get(path);
          if (!/^\d+\n$/.test(response)) wrong.push(response);
        }
      };
      const clients = Array.from({ length: 12 }, (_, n) => ask(n));
      let last = 0;
      for (let i = 1; i <= 50; i++) {
        write(nginx, version(i));
        expect(await nginx.get("/reload")).toBe("true\n");
        last = Number(await nginx.get("/call?m=version"));
        expect(last).toBe(i);
      }
      going = false;
      await Promise.all(clients);
      expect(wrong).toEqual([]);
      expect(asked).toBeGreaterThan(500);
      await until(
        () => processesOf(nginx).length === 2,
        10_000,
        () => `${processesOf(nginx).length} processes are left`,
      );
      const [calls, answers, , unanswered] = (await nginx.get("/runtimes")).trim().split(" ");
      expect(Number(calls)).toBe(asked + 51);
      expect(answers).toBe(calls);
      expect(unanswered).toBe("0");
    });
  });

  test.each(["SIGQUIT", "SIGTERM", "SIGHUP", "SIGKILL"] as const)(
    "%s in the middle of a reload leaves nothing",
    async (signal) => {
      await withNginx(options({ main: "worker_shutdown_timeout 2s;" }), async (nginx) => {
        const old = Number(await nginx.get("/call?m=pid"));
        const slow = nginx.get("/call?m=slow&v=500").catch(() => "cut off");
        const reload = nginx.get("/reload").catch(() => "cut off");
        await until(
          () => processesOf(nginx).length === 2,
          5_000,
          () => "no second process",
        );
        const all = nginx.family().filter(({ pid }) => pid !== nginx.pid);
        if (signal === "SIGKILL") nginx.signal(signal, nginx.workers()[0]);
        else nginx.signal(signal);
        await Promise.all([slow, reload]);
        expect(all.map(({ pid }) => pid)).toContain(old);
        // a second check finds remaining processes: withNginx throws
        await until(
          () => all.every(({ pid, started }) => statOf(pid)?.started !== started),
          10_000,
          () => `left: ${all.map(({ pid }) => `${pid} ${statOf(pid)?.state}`).join(", ")}`,
        );
      });
    },
  );

  test("one that is silent is killed at the limit, its calls fail", async () => {
    await withNginx(options({ main: "worker_shutdown_timeout 1s;" }), async (nginx) => {
      const old = Number(await nginx.get("/call?m=pid"));
      const spinning = nginx.get("/call?m=spin");
      await new Promise((done) => setTimeout(done, 100));
      expect(await nginx.get("/reload")).toBe("true\n");
      expect(await nginx.get("/call?m=version")).toBe("1\n");
      expect(await spinning).toMatch(/has not ended within the grace period.*runtime_down/);
      await until(
        () => statOf(old) === undefined,
        5_000,
        () => "the old process does not end",
      );
    });
  });

  test("misuse and the wrong phase are reported", async () => {
    const server = `${location()}
      ${content(
        "= /misuse",
        `local rt = assert(nffi.load("node", { module = "module.mjs" }))
         ngx.say(show(pcall(rt.reload, rt, "x")))
         ngx.say(show(pcall(rt.reload, rt, { libary = "x" })))
         ngx.say(show(pcall(rt.reload)))
         ngx.say(show(rt:reload({ library = "libother.so" })))
         local thread = ngx.thread.spawn(rt.reload, rt)
         ngx.say(show(rt:reload()))
         ngx.say(show(ngx.thread.wait(thread)))
         rt:close()
         ngx.say(show(rt:reload()))`,
      )}
      location = /log {
        content_by_lua_block { ngx.say("x") }
        log_by_lua_block {
          local rt = require("resty.nffi").load("node", { module = "module.mjs" })
          ngx.log(ngx.WARN, "reload says: ", (select(2, rt:reload())))
        }
      }`;
    await withNginx(options({ server }), async (nginx) => {
      const lines = (await nginx.get("/misuse")).trim().split("\n");
      expect(lines).toEqual([
        expect.stringMatching(/^false\|.*options must be a table, got string/),
        expect.stringMatching(/^false\|.*unknown option "libary"; did you mean "library"\?/),
        expect.stringMatching(/^false\|.*call it as runtime:reload\(\)/),
        expect.stringMatching(/^nil\|the runtime "module\.mjs" is not a library.*\|invalid$/),
        expect.stringMatching(/^nil\|.*is being reloaded already\|reloading$/),
        "true|true",
        expect.stringMatching(/^nil\|the runtime "module\.mjs" is closed\|closed$/),
      ]);
      await nginx.get("/log");
      await nginx.waitForLog(/reload says: .*API disabled in the context of log_by_lua/);
    });
  });
});

test("a native library is reloaded from another path, not from the same", async () => {
  const prefix = await builtOpenresty(anySuite);
  const folder = temporaryFolder();
  const first = nativeRuntime(prefix, "witness");
  const second = join(folder, "libwitness.so");
  const third = join(folder, "libbroken.so");
  copyFileSync(first, second);
  writeFileSync(third, "no library");
  const server = [
    content(
      "= /call",
      `local rt = assert(nffi.load("${first}", { config = "c" }))
       ngx.say(show(rt:call(ngx.var.arg_v, { method = ngx.var.arg_m })))`,
    ),
    content(
      "= /reload",
      `local rt = assert(nffi.load("${first}", { config = "c" }))
       ngx.say(show(rt:reload(ngx.var.arg_file and { library = ngx.var.arg_file })))`,
    ),
  ].join("\n");
  await withNginx({ prefix, server }, async (nginx) => {
    await nginx.get("/call?m=mark&v=one");
    expect(await nginx.get("/reload")).toMatch(/stays open for the life.*\|not_reloadable$/m);
    expect(await nginx.get(`/reload?file=${first}`)).toMatch(/serves already.*\|not_reloadable$/m);
    expect(await nginx.get(`/reload?file=${third}`)).toMatch(
      /nil\|.*old code stays: .*libbroken.*\|reload_failed$/m,
    );
    expect(await nginx.get("/call?m=report")).toMatch(/started: one/);
    const held = nginx.get("/call?m=block&v=600");
    expect(await nginx.get(`/reload?file=${second}`)).toBe("true\n");
    // another instance, which has seen nothing
    await nginx.get("/call?m=mark&v=two");
    expect(await nginx.get("/call?m=report")).toMatch(/started: two/);
    expect(await held).toBe("600\n");
    expect(await nginx.get(`/reload?file=${second}`)).toMatch(/not_reloadable/);
  });
});

// How runtimes in Java begin and end through a real nginx, as a process and in the worker:
// System.exit, reload of the code, quit and reload of nginx with calls under way; and what nginx
// keeps for itself: its signals, its children.
import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Nginx, startNginx, until, withNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { temporaryFolder } from "../../support/temporary.js";
import { JavaClasses } from "./java-runtime.js";

let prefix: string;
let built: JavaClasses;

beforeAll(async () => {
  prefix = await builtOpenresty();
  built = new JavaClasses("test/sdk/java/fixtures/app", prefix);
});

afterAll(() => built?.remove());

const JAVA_LUA = () => `
local nffi = require "resty.nffi"
return function()
    return assert(nffi.load("java", { module = "com.example.App", classpath = "${built.classes}",
        host = ngx.var.arg_host, jvm_args = { "-Xmx64m", "-XX:+UseSerialGC" } }))
end
`;

const location = (path: string, code: string) => `location = ${path} { content_by_lua_block {
    local cjson = require "cjson.safe"
    ${code}
} }`;

const SERVER = [
  location(
    "/method",
    `local rt = require "java"()
    local response, message, code, detail =
        rt.methods[ngx.var.arg_name](rt.methods, tonumber(ngx.var.arg_value))
    ngx.print(cjson.encode({ response, message, code, detail }))`,
  ),
  location("/reload", `ngx.print(cjson.encode({ require "java"():reload() }))`),
  location(
    "/reloads",
    `local rt = require "java"()
     -- one after the other, then two at once, of which a process refuses one
     for i = 1, ngx.var.arg_host == "worker" and 20 or 2 do assert(rt:reload()) end
     local thread = ngx.thread.spawn(rt.reload, rt)
     local _, _, code = rt:reload()
     ngx.print(tostring(code), " ", tostring(select(2, ngx.thread.wait(thread))))`,
  ),
  location(
    "/children",
    `local seen = {}
    for i = 1, 20 do
        local a, b, c = os.execute("exit " .. i % 2)
        local pipe = io.popen("echo out; exit 3")
        seen[#seen + 1] = table.concat({ tostring(a), tostring(b), tostring(c), pipe:read("*a") }, " ")
        pipe:close()
    end
    ngx.print(table.concat(seen))`,
  ),
].join("\n");

const options = () => ({
  prefix,
  http: `lua_package_path "$prefix?.lua;;";`,
  server: SERVER,
  files: { "java.lua": JAVA_LUA() },
  logLevel: "notice",
});

const HOSTS = ["process", "worker"];

describe.each(HOSTS)("hosted by the %s", (host) => {
  const call = (nginx: Nginx, name: string, value = "") =>
    nginx.get(`/method?host=${host}&name=${name}&value=${value}`);

  test("System.exit fails the calls under way with who called it, and nginx goes on", async () => {
    await withNginx(options(), async (nginx) => {
      expect(await call(nginx, "version")).toBe('["one"]');
      const waiting = call(nginx, "wait", "60000");
      await new Promise((resolve) => setTimeout(resolve, 200));
      const exited = await call(nginx, "exit");
      expect(exited).toContain("System.exit was called");
      expect(exited).toMatch(/com\.example\.App\.lambda\$create\$\d+\(App\.java:\d+\)/);
      expect(await waiting).toContain("System.exit was called");
      if (host === "process") {
        // another one is started
        await until(
          async () => (await call(nginx, "version")) === '["one"]',
          10_000,
          () => nginx.errorLog(),
        );
        return;
      }
      expect(await call(nginx, "version")).toContain("a reload of nginx brings a new one");
      expect(await nginx.get("/children")).toContain("out");
      await nginx.reload();
      await until(
        async () => (await call(nginx, "version")) === '["one"]',
        10_000,
        () => nginx.errorLog(),
      );
    });
  });

  test("loads java.util.logging when it is used, with the user's file", async () => {
    const folder = temporaryFolder();
    chmodSync(folder, 0o777); // the virtual machine of a worker runs as another user
    const loaded = join(folder, "loaded");
    const file = join(folder, "logging.properties");
    writeFileSync(file, ".level = FINE\nhandlers = java.util.logging.ConsoleHandler\n");
    const args = `"-Xlog:class+load:file=${loaded}", "-Djava.util.logging.config.file=${file}", `;
    const lua = JAVA_LUA().replace("jvm_args = { ", `jvm_args = { ${args}`);
    const manager = /^.*java\.util\.logging\.LogManager /m;
    await withNginx(
      { ...options(), files: { "java.lua": lua }, logLevel: "debug" },
      async (nginx) => {
        expect(await call(nginx, "version")).toBe('["one"]');
        expect(readFileSync(loaded, "utf8")).not.toMatch(manager);
        await call(nginx, "log");
        await nginx.waitForLog("jul: finely");
        expect(readFileSync(loaded, "utf8")).toMatch(manager);
        expect(nginx.errorLog().match(/by java.util.logging/g)).toHaveLength(1);
      },
    );
  });

  // the time of a first call depends on the machine, the number of classes does not
  test("calls a static method of each form, and loads few classes for the first call", async () => {
    const folder = temporaryFolder();
    chmodSync(folder, 0o777);
    const loaded = join(folder, "loaded");
    const lua = JAVA_LUA()
      .replace("jvm_args = { ", `jvm_args = { "-Xlog:class+load:file=${loaded}", `)
      .replace("host =", "handler = ngx.var.arg_name, host =");
    const server = location("/upper", `ngx.print(assert(require "java"():call("text")))`);
    await withNginx({ ...options(), server, files: { "java.lua": lua } }, async (nginx) => {
      const upper = (name: string) => nginx.get(`/upper?host=${host}&name=${name}`);
      expect(await upper("shout")).toBe("TEXT!");
      const lines = readFileSync(loaded, "utf8").matchAll(/^\[\S+\] (nffi\.\S+) /gm);
      const classes = [...lines].map(([, name]) => name);
      expect(classes).toContain("nffi.Response");
      expect(classes.length, classes.join(" ")).toBeLessThanOrEqual(25);
      expect(classes.join(" ")).not.toContain("Lambda"); // the first one takes 10 ms
      // in the worker java.lang.ProcessImpl has one
      if (host === "process") {
        expect(readFileSync(loaded, "utf8")).not.toContain("java.lang.invoke.LambdaMetafactory ");
        return;
      }
      for (const name of ["upper", "upperOf", "respondUpper"])
        expect(await upper(name)).toBe("TEXT!");
    });
  });

  test("reload() brings new classes while the old ones finish; a bad one changes nothing", async () => {
    await withNginx(options(), async (nginx) => {
      expect(await call(nginx, "version")).toBe('["one"]');
      built.edit("com/example/Version.java", '"one"', '"two"');
      built.compile();
      // it is under way until the new ones have answered
      const slow = call(nginx, "wait", "5000");
      await new Promise((resolve) => setTimeout(resolve, 200));
      try {
        expect(await nginx.get(`/reload?host=${host}`)).toBe("[true]");
        expect(await call(nginx, "version")).toBe('["two"]');
        expect(nginx.errorLog()).not.toContain("closed hello one");
        expect(await nginx.get(`/reloads?host=${host}`)).toBe(
          host === "process" ? "reloading true" : "nil true",
        );
        expect(await slow).toBe('["waited"]');
        await nginx.waitForLog("closed hello one");
        built.edit(
          "com/example/App.java",
          "        String greeting = ",
          '        if (true) throw new IllegalStateException("broken");\n        String greeting = ',
        );
        built.compile();
        const refused = await nginx.get(`/reload?host=${host}`);
        expect(refused).toContain("broken");
        expect(refused).toContain('"reload_failed"');
        expect(await call(nginx, "version")).toBe('["two"]');
      } finally {
        built.edit("com/example/Version.java", '"two"', '"one"');
        built.edit(
          "com/example/App.java",
          '        if (true) throw new IllegalStateException("broken");\n',
          "",
        );
        built.compile();
      }
    });
  });

  test("calls under way are answered when nginx reloads, and when it quits", async () => {
    const nginx = await startNginx(options());
    try {
      expect(await call(nginx, "version")).toBe('["one"]');
      const first = call(nginx, "wait", "1000");
      await new Promise((resolve) => setTimeout(resolve, 200));
      await nginx.reload();
      expect(await call(nginx, "version")).toBe('["one"]');
      expect(await first).toBe('["waited"]');
      const second = call(nginx, "wait", "1000");
      await new Promise((resolve) => setTimeout(resolve, 200));
      const stopped = nginx.stop({ signal: "SIGQUIT" });
      expect(await second).toBe('["waited"]');
      await stopped;
      expect(nginx.errorLog()).not.toMatch(/exited on signal|core dumped|SIGSEGV/);
    } catch (thrown) {
      await nginx.stop();
      throw thrown;
    }
  });
});

/** HUP, INT, QUIT, USR1, PIPE, ALRM, TERM, CHLD, WINCH, IO, SYS. */
const NGINX_SIGNALS = [1, 2, 3, 10, 13, 14, 15, 17, 28, 29, 31].reduce(
  (mask, signo) => mask | (1n << BigInt(signo - 1)),
  0n,
);

function field(file: string, name: string): bigint {
  return BigInt(`0x${new RegExp(`^${name}:\\t(\\w+)`, "m").exec(readFileSync(file, "utf8"))?.[1]}`);
}

test("in the worker the signals and children of nginx stay its own", async () => {
  await withNginx(options(), async (nginx) => {
    const children = await nginx.get("/children");
    const [pid = 0] = nginx.workers();
    const status = `/proc/${pid}/status`;
    const ignored = field(status, "SigIgn") & NGINX_SIGNALS;
    const caught = field(status, "SigCgt") & NGINX_SIGNALS;
    expect(await nginx.get("/method?host=worker&name=version")).toBe('["one"]');
    // signals that nginx ignores have an empty handler, so programs do not inherit SIG_IGN
    expect(field(status, "SigIgn") & NGINX_SIGNALS).toBe(0n);
    expect(field(status, "SigCgt") & NGINX_SIGNALS).toBe(caught | ignored);
    const threads = readdirSync(`/proc/${pid}/task`).filter((tid) => tid !== String(pid));
    expect(threads.length).toBeGreaterThan(5);
    for (const tid of threads) {
      // glibc blocks all of them until a new thread runs
      await expect
        .poll(() => field(`/proc/${pid}/task/${tid}/status`, "SigBlk") & NGINX_SIGNALS)
        .toBe(0n);
    }
    expect(await nginx.get("/children")).toBe(children);
  });
});

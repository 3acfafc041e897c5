// The runtimes of all languages in one worker, in process where the language can: what nginx and
// Lua do with signals, child processes and TLS is what they do in an nginx without any.
import { existsSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../../src/io/port.js";
import {
  type Nginx,
  startNginx,
  startNginxForTest,
  until,
  withNginx,
} from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { familyOf, runtimesOf } from "../../support/processes.js";
import { type AllLanguages, buildAllLanguages } from "./all-languages.js";
import { content, nginxOfLanguages, SECRET } from "./languages-nginx.js";

let prefix: string;
let all: AllLanguages;
let tlsPort: number;

beforeAll(async () => {
  prefix = await builtOpenresty();
  all = await buildAllLanguages(prefix);
  tlsPort = await freePort();
});

afterAll(() => all?.remove());

/** Prints the environment, descriptors and memory of a program that a handler starts. */
const LOOK = `env; xargs -0 echo < /proc/$$/environ; cat /proc/$$/maps;
for fd in /proc/$$/fd/*; do if [ -e $fd ]; then echo fd $(basename $fd); fi; done`.replaceAll(
  "\n",
  " ",
);

/** Prints the signals that it blocks and ignores, from /proc, and then tries some. */
const SIGNALS = `exec 2>/dev/null;
grep -E '^Sig(Blk|Ign):' /proc/self/status | while read name mask; do echo -n $name$mask' '; done;
for s in TERM INT HUP QUIT PIPE; do sh -c 'kill -'$s' $$; echo on'; echo -n $s$?' '; done`.replaceAll(
  "\n",
  " ",
);

const options = (port = tlsPort) => nginxOfLanguages(prefix, all, port);

async function loadAll(nginx: Nginx): Promise<void> {
  for (const language of all.names) {
    const response = await nginx.get(`/echo?language=${language}&text=${language}`);
    expect(response, nginx.errorLog()).toBe(language);
  }
}

/** Signals that nginx handles: HUP, INT, QUIT, USR1, USR2, PIPE, ALRM, TERM, WINCH, IO, SYS. */
const NGINX_SIGNALS = [1, 2, 3, 10, 12, 13, 14, 15, 28, 29, 31];
const SIGHUP = 1;
const USR2 = 12;
const SIGCHLD = 17;

/** The number of the system call that sends a signal to a thread. */
const TGKILL = process.arch === "arm64" ? 131 : 234;

function signalsOf(status: string, field: "SigBlk" | "SigCgt" | "SigIgn"): number[] {
  const bits = BigInt(`0x${new RegExp(`^${field}:\t(\\w+)`, "m").exec(status)?.[1]}`);
  return [...NGINX_SIGNALS, SIGCHLD].filter((signal) => (bits >> BigInt(signal - 1)) & 1n);
}

const statusOf = (pid: number, tid = pid) =>
  readFileSync(`/proc/${pid}/task/${tid}/status`, "utf8");

test("a process that hangs, and one that is killed, is one line of the log in each language", async () => {
  await withNginx(options(await freePort()), async (nginx) => {
    const echo = (language: string, text: string) =>
      nginx.get(`/echo?language=${language}&text=${text}`);
    for (const language of all.processes) expect(await echo(language, "x")).toBe("x");
    const processes = (await nginx.get("/processes")).trim().split("\n");
    const named = processes.map((line) => /^(\d+) ready (.*)$/.exec(line) ?? []);
    const pids = named.map(([, pid]) => Number(pid));
    expect(pids.length).toBe(all.processes.length);
    const linesOf = (pid: number, text: string) =>
      nginx
        .errorLog()
        .split("\n")
        .filter((line) => line.includes(`process ${pid}`) && line.includes(text));
    const eachHas = (text: string) =>
      until(
        () => pids.every((pid) => linesOf(pid, text).length > 0),
        15_000,
        () => nginx.errorLog(),
      );
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    const held = all.processes.flatMap((language) =>
      ["a", "b"].map((text) => echo(language, text)),
    );
    await eachHas("has taken no call for");
    for (const pid of pids) process.kill(pid, "SIGCONT");
    expect((await Promise.all(held)).sort().join("")).toMatch(/^a+b+$/);
    await until(
      () => nginx.errorLog().split("takes calls again").length > pids.length,
      10_000,
      () => nginx.errorLog(),
    );
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await eachHas("ended by signal 9");
    for (const [, pid, name] of named) {
      expect(linesOf(Number(pid), "has taken no call")).toEqual([
        expect.stringMatching(
          // several programs are named runtime
          new RegExp(
            String.raw`runtime "${name}( \(id \w+\))?" \(process ${pid}\) has taken no call for `,
          ),
        ),
      ]);
      expect(linesOf(Number(pid), "has taken no call")[0]).toContain(": 2 calls wait, 0 run");
      expect(linesOf(Number(pid), "ended")).toEqual([
        expect.stringMatching(
          /by signal 9 \(SIGKILL: out of memory\? .*\); it is started again in 100 ms/,
        ),
      ]);
    }
    expect(nginx.errorLog()).not.toMatch(/unknown process|\[alert\]/);
  });
});

test("calls that wait for one of the runtime's threads are one line of the log as well", async () => {
  const files = {
    "languages.lua": all.lua,
    // plain functions beside async ones: they run in threads, and the queue is taken by the loop
    "mixed.py": "import time\nasync def other(): pass\ndef sleep(ms): time.sleep(ms / 1000)",
    "inside.py": "import time\nasync def other(): pass\ndef sleep(ms): time.sleep(ms / 1000)",
  };
  const server = `location = /hold { ${content(`
    local nffi = require "resty.nffi"
    local runtimes = {
      assert(nffi.load("python", { module = "mixed.py", threads = 1 })),
      assert(nffi.load("python", { module = "inside.py", threads = 1, host = "worker" })),
      require("languages")("java", "stall", 1),
      require("languages")("java-process", "stall", 1),
    }
    local calls = {}
    for _, runtime in ipairs(runtimes) do
      for _, ms in ipairs { 8000, 1, 1 } do
        calls[#calls + 1] = ngx.thread.spawn(runtime.methods.sleep, runtime.methods, ms)
      end
    end
    for _, call in ipairs(calls) do assert(ngx.thread.wait(call)) end
    ngx.print("done")`)} }`;
  const http = `lua_package_path "@DIR@/?.lua;;";`;
  await withNginx({ prefix, files, server, http }, async (nginx) => {
    expect(await nginx.get("/hold")).toBe("done");
    const lines = nginx.errorLog().match(/\[warn\].* has begun no call for .*/g) ?? [];
    expect(lines.length, nginx.errorLog()).toBe(4);
    for (const line of lines) expect(line).toMatch(/: 2 calls wait for one of its /);
    for (const name of ["mixed.py", "inside.py"]) {
      expect(lines.filter((line) => line.includes(name)).length).toBe(1);
    }
  });
});

/** Runtimes that cannot start, by the name that the log has for them. */
const BROKEN = {
  "broken.mjs": `nffi.load("node", { module = "broken.mjs" })`,
  "broken.py": `nffi.load("python", { module = "broken.py" })`,
  "within.py": `nffi.load("python", { module = "within.py", host = "worker" })`,
  "none.App": `nffi.load("java", { module = "none.App" })`,
  "none.Within": `nffi.load("java", { module = "none.Within", host = "worker" })`,
  sh: `nffi.load("process", { program = "/bin/sh", args = { "-c", "echo broken >&2; exit 1" } })`,
};

test("a runtime that cannot start is logged once, then each try is one line", async () => {
  const files = {
    "broken.mjs": "import './nothing-there.mjs';",
    "broken.py": "import nothing_there",
    "within.py": "import nothing_there",
  };
  const loads = Object.values(BROKEN).map((load) => `assert(${load})`);
  const server = `location = /broken { ${content(`
    local nffi = require "resty.nffi" ${loads.join(" ")}`)} }`;
  await withNginx({ prefix, files, server }, async (nginx) => {
    await nginx.get("/broken");
    const linesOf = (name: string) =>
      nginx
        .errorLog()
        .split("\n")
        .filter((line) => !line.includes("[info]"))
        .filter((line) => line.includes(`[${name}]`) || line.includes(`"${name}"`));
    for (const name of Object.keys(BROKEN)) {
      await until(
        () => linesOf(name).some((line) => line.endsWith(" again in 800 ms")),
        30_000,
        () => nginx.errorLog(),
      );
      const lines = linesOf(name);
      const first = lines.findIndex((line) => line.includes(" again in 100 ms"));
      const tries = lines.slice(first).filter((line) => / again in \d+ ms/.test(line));
      const delays = tries.map((line) => Number(/again in (\d+) ms/.exec(line)?.[1]));
      expect(delays.slice(0, 4)).toEqual([100, 200, 400, 800]);
      for (const line of tries.slice(1)) expect(line).toContain(", for the same reason; it is ");
      // what the first failure has printed is not printed again
      const again = lines.slice(lines.findIndex((line) => line.endsWith(" again in 200 ms")));
      expect(again.filter((line) => !tries.includes(line))).toEqual([]);
      expect(
        lines.filter((line) => /nothing.there|class \S+ not found|broken$/.test(line)),
      ).not.toEqual([]);
    }
  });
});

describe("with the runtimes of all languages in one worker", () => {
  let nginx: Nginx;
  let worker: number;

  beforeAll(async () => {
    nginx = await startNginx(options());
    await loadAll(nginx);
    worker = nginx.workers()[0] as number;
  });

  afterAll(() => nginx?.stop());

  test("all of them answer, many calls at a time", async () => {
    const asked = Array.from({ length: 600 }, (_, i) => ({
      language: all.names[i % all.names.length],
      text: `text${i}`,
    }));
    const responses = await Promise.all(
      asked.map(({ language, text }) => nginx.get(`/echo?language=${language}&text=${text}`)),
    );
    expect(responses).toEqual(asked.map(({ text }) => text));
    expect(nginx.workers()).toEqual([worker]);
    // the modules of Python and Java, not the bridges that host them
    const names = await nginx.get("/names");
    expect(names).toContain("languages.App\n");
    expect(names).toMatch(/^runtime\.py$/m);
    expect(names).not.toContain("libnffi_");
  });

  test("a signal of nginx that one of their threads takes is forwarded", async () => {
    const threads = readdirSync(`/proc/${worker}/task`).map(Number);
    expect(threads.length).toBeGreaterThan(all.inWorker.length);
    for (const tid of threads.filter((thread) => thread !== worker)) {
      const name = /^Name:\t(.*)/m.exec(statusOf(worker, tid))?.[1] ?? "";
      // glibc blocks all of them until a new thread runs
      await expect
        .poll(() => signalsOf(statusOf(worker, tid), "SigBlk"), { message: `${tid} ${name}` })
        .toEqual([]);
      for (const signal of [SIGHUP, SIGCHLD, USR2]) {
        const sent = await nginx.get(`/tgkill?number=${TGKILL}&tid=${tid}&signal=${signal}`);
        expect(sent).toBe("0");
      }
    }
    // the thread's number stands behind the #
    for (const [signal, name] of [
      [SIGHUP, "SIGHUP"],
      [USR2, "SIGUSR2"],
    ]) {
      await nginx.waitForLog(
        `${worker}#${worker}: signal ${signal} (${name}) received from ${worker}, ignoring`,
      );
    }
    const handlers = [...nginx.errorLog().matchAll(/(\d+)#(\d+): signal \d+/g)];
    expect(handlers.filter(([, pid, tid]) => pid !== tid)).toEqual([]);
    expect(nginx.workers()).toEqual([worker]);
  });

  test("nginx's own thread handles the signals it did before, and ignores those it ignored", async () => {
    await withNginx(options(await freePort()), async (plain) => {
      await plain.get("/children");
      const [plainWorker = 0] = plain.workers();
      const [before, now] = [statusOf(plainWorker), statusOf(worker)];
      expect(signalsOf(now, "SigBlk")).toEqual(signalsOf(before, "SigBlk"));
      // what it ignores has a handler that does nothing: programs would inherit the other
      expect(signalsOf(now, "SigIgn")).toEqual([]);
      const handled = [...signalsOf(before, "SigCgt"), ...signalsOf(before, "SigIgn")];
      expect(signalsOf(now, "SigCgt").sort()).toEqual(handled.sort());
      for (const signal of signalsOf(before, "SigIgn")) {
        const sent = await nginx.get(`/tgkill?number=${TGKILL}&tid=${worker}&signal=${signal}`);
        expect(sent).toBe("0");
      }
      expect(await nginx.get("/echo?language=c&text=alive")).toBe("alive");
    });
    expect(nginx.workers()).toEqual([worker]);
  });

  test("a program that any of them starts blocks and ignores no signal, and ends by them", async () => {
    for (const language of [...all.inWorker, ...all.processes]) {
      const got = await nginx.request(`/run?language=${language}`, { body: SIGNALS });
      // posix_spawn() of glibc leaves the two that it uses itself, 32 and 33, ignored
      expect(got.body.replace("Ign:0000000180000000", "Ign:0000000000000000"), language).toBe(
        "SigBlk:0000000000000000 SigIgn:0000000000000000 TERM143 INT130 HUP129 QUIT131 PIPE141 ",
      );
    }
  });

  test("os.execute and io.popen return the same as without them", async () => {
    const seen = await nginx.get("/children");
    expect(seen).toContain("popen,out 50");
    await withNginx(options(await freePort()), async (plain) => {
      expect(seen).toBe(await plain.get("/children"));
    });
    expect(nginx.workers()).toEqual([worker]);
  });

  test("TLS in nginx and TLS in each runtime work together", async () => {
    const asked = [...all.names].filter((name) => all.speaksTls.has(name));
    expect(asked.length).toBeGreaterThan(1);
    const responses = await Promise.all(
      Array.from({ length: 10 }, () => [
        ...asked.map((language) => nginx.get(`/fetch?language=${language}`)),
        ...all.names.map((language) => getOverTls(tlsPort, `/echo?language=${language}`)),
      ]).flat(),
    );
    expect([...new Set(responses)]).toEqual(["over TLS"]);
  });

  test("USR1 opens the log again", async () => {
    const log = join(nginx.dir, "logs/error.log");
    renameSync(log, `${log}.1`);
    nginx.signal("SIGUSR1");
    await until(
      async () => {
        await nginx.request("/nothing-there");
        return nginx.errorLog().includes(`${worker}#${worker}: *`);
      },
      10_000,
      () => nginx.errorLog(),
    );
  });

  test("a reload replaces the worker, and the new one loads them again", async () => {
    await nginx.reload();
    await loadAll(nginx);
    await until(
      () => !nginx.workers().includes(worker),
      20_000,
      () => nginx.errorLog(),
    );
    expect(nginx.errorLog()).not.toMatch(/exited on signal/);
    expect(nginx.errorLog()).not.toMatch(/exited with code [^0]/);
  });
});

test("reload and quit answer what is in flight in each of them", async () => {
  const nginx = await startNginxForTest(options(await freePort()));
  await loadAll(nginx);
  for (const signal of ["SIGHUP", "SIGQUIT"] as const) {
    const [worker = 0] = nginx.workers();
    const slow = all.names.map((language) => nginx.get(`/slow?language=${language}&ms=700`));
    await new Promise((resolve) => setTimeout(resolve, 200));
    nginx.signal(signal, nginx.pid);
    expect(await Promise.all(slow)).toEqual(all.names.map(() => "700"));
    await until(
      () => !nginx.workers().includes(worker),
      20_000,
      () => nginx.errorLog(),
    );
    if (signal === "SIGHUP") await loadAll(nginx);
  }
  expect(nginx.errorLog()).not.toMatch(/exited on signal/);
  await nginx.stop();
});

test("SIGTERM ends nginx immediately, in the middle of calls", async () => {
  const nginx = await startNginxForTest(options(await freePort()));
  await loadAll(nginx);
  const slow = all.names.map((language) =>
    nginx.get(`/slow?language=${language}&ms=20000`).catch(() => "gone"),
  );
  await new Promise((resolve) => setTimeout(resolve, 200));
  nginx.signal("SIGTERM");
  expect(await Promise.all(slow)).toEqual(all.names.map(() => "gone"));
  await nginx.waitForLog(/worker process \d+ exited with code 0/);
  expect(nginx.errorLog()).not.toMatch(/exited on signal/);
  await nginx.stop();
});

describe("a crash in native code, an exit that cannot be caught", () => {
  let nginx: Nginx;

  beforeAll(async () => {
    nginx = await startNginx(options(await freePort()));
  });

  afterAll(() => nginx?.stop());

  const answers = (language: string) =>
    until(
      async () => {
        const asked = nginx.get(`/echo?language=${language}&text=again`).catch(() => "");
        return (await asked) === "again";
      },
      20_000,
      () => nginx.errorLog(),
    );

  test("in the worker ends the worker, and nginx starts another", async () => {
    for (const language of all.inWorker) {
      await answers(language);
      const [worker] = nginx.workers();
      await expect(nginx.get(`/crash?language=${language}`), language).rejects.toThrow();
      await nginx.waitForLog(new RegExp(`worker process ${worker} exited (on signal|with code)`));
      await answers(language);
    }
  });

  test("in a process ends that process; the call fails, and it is started again", async () => {
    await answers("c");
    const workers = nginx.workers();
    for (const language of all.processes) {
      await answers(language);
      expect(await nginx.get(`/crash?language=${language}`), language).toBe("nil runtime_down");
      await answers(language);
    }
    expect(nginx.workers()).toEqual(workers);
  });
});

describe("a configuration that is a secret, or large", () => {
  let nginx: Nginx;

  beforeAll(async () => {
    nginx = await startNginx(options(await freePort()));
  });

  afterAll(() => nginx?.stop());

  const config = (language: string, bytes: number, more = "", body = "") =>
    nginx
      .request(`/config?language=${language}&bytes=${bytes}${more}`, { body })
      .then((r) => r.body);

  // as many times as a test has loaded it, since each configuration is a runtime
  const LANGUAGES = ["c", "go", "java", "python", "rust", "typescript"].map((n) => `${n}-process`);

  test.each(LANGUAGES)(
    "%s: 200 KB arrive whole, and no /proc and no child has them",
    async (name) => {
      expect(all.processes).toContain(name);
      expect(await config(name, 200_000), nginx.errorLog()).toBe("whole");
      const [worker = 0] = nginx.workers();
      const processes = familyOf(worker).filter(({ pid }) => pid !== worker);
      const runtimes = runtimesOf(worker);
      expect(runtimes.length).toBeGreaterThan(0);
      for (const { pid } of processes) {
        const environment = readFileSync(`/proc/${pid}/environ`, "latin1");
        if (runtimes.includes(pid)) expect(environment).toContain("PATH=");
        expect(environment, `${pid}`).not.toContain(SECRET);
        const line = readFileSync(`/proc/${pid}/cmdline`, "latin1");
        expect(line, `${pid}`).not.toContain(SECRET);
      }
      const inherited = await config(name, 200_000, "&run=1", LOOK);
      expect(inherited).toContain("PATH=");
      expect(inherited).not.toContain(SECRET);
      expect(inherited.match(/fd \S+/g)).toEqual(["fd 0", "fd 1", "fd 2"]);
      expect(inherited).toContain("[stack]");
      expect(inherited).not.toContain("memfd:");
    },
  );

  test.each(LANGUAGES)("%s: it is the same after a reload and after a restart", async (name) => {
    expect(await config(name, 200_000, "&reload=1"), nginx.errorLog()).toBe("whole");
    await config(name, 200_000, "&crash=1");
    await until(
      async () => (await config(name, 200_000)) === "whole",
      20_000,
      () => nginx.errorLog(),
    );
  });

  test.each(["c", "c-process"])(
    "%s: none is not an empty one, and any byte may be in it",
    async (name) => {
      const sizes = { nil: "none", '""': "0", '"a\\0b\\0"': "4", "{}": "2", "{ a = 1 }": "7" };
      for (const [lua, size] of Object.entries(sizes)) {
        const path = `/size?language=${name}&config=${encodeURIComponent(lua)}`;
        expect(await nginx.get(path), lua).toBe(size);
      }
    },
  );

  test("5 MB arrive whole in every language, in the worker as in a process", async () => {
    for (const name of [...all.inWorker, ...all.processes]) {
      expect(await config(name, 5_000_000), `${name}: ${nginx.errorLog()}`).toBe("whole");
    }
  });
});

test("USR2 starts a new nginx on the same sockets, and the old one leaves", async () => {
  // only a daemon may be upgraded: its parent is not the one that has started it
  const nginx = await startNginxForTest({ ...options(await freePort()), daemon: true });
  await loadAll(nginx);
  const old = nginx.pid;
  nginx.signal("SIGUSR2");
  await until(
    () => nginx.pid !== 0 && nginx.pid !== old && nginx.workers().length === 1,
    20_000,
    () => nginx.errorLog(),
  );
  nginx.signal("SIGQUIT", old);
  await until(
    () => !existsSync(`/proc/${old}`),
    20_000,
    () => nginx.errorLog(),
  );
  await loadAll(nginx);
  expect(nginx.errorLog()).not.toMatch(/exited on signal|exited with code [^0]/);
  await nginx.stop();
});

function getOverTls(port: number, path: string): Promise<string> {
  return new Promise((done, failed) => {
    request({ host: "127.0.0.1", port, path, rejectUnauthorized: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (part) => {
        body += part;
      });
      response.on("end", () => done(body));
    })
      .on("error", failed)
      .end();
  });
}

// How runtimes that are processes are hosted: several for one runtime, their limits, user, priority
// and environment, and what a process inherits of its worker.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { call, location, options, shell } from "../support/hosting.js";
import { content } from "../support/lua.js";
import { type Nginx, startNginx, until, withNginx } from "../support/nginx.js";
import { anySuite, builtOpenresty } from "../support/openresty.js";
import { statOf } from "../support/processes.js";

async function pidsOf(nginx: Nginx, name: string, count: number): Promise<number[]> {
  const pids = new Set<number>();
  await until(
    async () => {
      pids.add(Number(await call(nginx, name, "pid")));
      return pids.size === count;
    },
    15_000,
    () => `${pids.size} processes answer instead of ${count}`,
  );
  return [...pids];
}

describe("several processes of one runtime", () => {
  let nginx: Nginx;
  let prefix: string;

  beforeAll(async () => {
    prefix = await builtOpenresty(anySuite);
    const server = ["a", "b", "c"].map((name) =>
      location(name, `processes = 3, config = "${name}"`),
    );
    const state = content(
      "= /processes",
      `for _, runtime in ipairs(nffi.metrics().runtimes) do
           for _, process in ipairs(runtime.processes) do
               ngx.say(process.pid, " ", process.state, " ", process.restarts)
           end
       end`,
    );
    nginx = await startNginx(options({ prefix, server: [...server, state].join("\n") }));
  });

  afterAll(async () => {
    await nginx?.stop();
  });

  test("calls go to the one with the fewest in flight", async () => {
    const pids = await pidsOf(nginx, "a", 3);
    // three concurrent calls, each in a separate process
    const busy = await Promise.all([300, 300, 300].map((ms) => call(nginx, "a", "busy", ms)));
    expect(busy.map(Number).sort()).toEqual(pids.sort());
    // a stuck process does not delay the others
    const stuck = call(nginx, "a", "busy", 5000);
    const begin = Date.now();
    await new Promise((done) => setTimeout(done, 50));
    const others: string[] = [];
    for (let i = 0; i < 12; i++) others.push(await call(nginx, "a", "pid"));
    expect(Date.now() - begin).toBeLessThan(4500);
    const stuckPid = Number(await stuck);
    expect(others.map(Number)).not.toContain(stuckPid);
    expect(new Set(others).size).toBe(2);
  });

  test("the death of one fails its calls only, and it comes back", async () => {
    const pids = await pidsOf(nginx, "b", 3);
    const calls = Array.from({ length: 9 }, () => call(nginx, "b", "slow", 5000));
    await new Promise((done) => setTimeout(done, 300));
    const victim = pids[1] ?? 0;
    process.kill(victim, "SIGKILL");
    await until(
      async () => !(await nginx.get("/processes")).includes(`${victim} ready`),
      5_000,
      () => "its death is not noticed",
    );
    // immediately, whether it is down or starting
    const begin = Date.now();
    const more = await Promise.all(Array.from({ length: 6 }, () => call(nginx, "b", "pid")));
    expect(Date.now() - begin).toBeLessThan(3000);
    expect(more.filter((response) => response.includes("nil"))).toEqual([]);
    const responses = await Promise.all(calls);
    const failed = responses.filter((response) => response.startsWith("nil"));
    expect(failed.length).toBe(3);
    expect(failed[0]).toMatch(new RegExp(`its process ${victim} ended.*runtime_down`));
    const answered = responses.filter((response) => !response.startsWith("nil")).map(Number);
    expect(answered.length).toBe(6);
    expect(answered).not.toContain(victim);
    expect((await pidsOf(nginx, "b", 3)).filter((pid) => pids.includes(pid)).length).toBe(2);
    expect(await nginx.get("/processes")).toMatch(/^\d+ ready 1$/m);
  });

  test("all of them can die together without a zombie, and restart", async () => {
    const pids = await pidsOf(nginx, "c", 3);
    for (const pid of pids) process.kill(pid, "SIGKILL");
    await until(
      async () => (await call(nginx, "c", "pid")).includes("is down"),
      5_000,
      () => "a call is answered by nobody",
    );
    const fresh = await pidsOf(nginx, "c", 3);
    expect(fresh.filter((pid) => pids.includes(pid))).toEqual([]);
    const [worker = 0] = nginx.workers();
    for (const pid of pids) expect(statOf(pid)?.parent === worker).toBe(false);
  });
});

describe("what a process gets", () => {
  let nginx: Nginx;
  let prefix: string;

  beforeAll(async () => {
    prefix = await builtOpenresty(anySuite);
    const server = [
      location("plain", ""),
      location("env", `env = { GREETING = "a=b c", PATH = "/bin" }, directory = "logs"`),
      location("limits", `limits = { files = 200, core = 0, cpu = 1000, memory = 2 ^ 36 }`),
      location("small", `limits = { memory = 600 * 2 ^ 20 }`),
      location("short", `limits = { cpu = 1 }`),
      location("polite", `nice = 17`),
      location("nobody", `user = "nobody", nice = -2`),
      location("ghost", `user = "no-such-user"`),
      location("narrow", `affinity = "inherit"`),
      location("nowhere", `directory = "/nowhere"`),
      location("greedy", `limits = { files = 2 ^ 40 }`),
      content(
        "= /tiny",
        `local rt = assert(nffi.load("python", { module = "tiny.py", limits = { memory = 5 * 2 ^ 20 } }))
         ngx.say(show(rt.methods:any()))`,
      ),
      content(
        "= /never",
        `local options = loadstring("return { " .. ngx.unescape_uri(ngx.var.arg_o) .. " }")()
         local rt = assert(nffi.load(ngx.var.arg_l, options))
         ngx.say(show(rt:call("")))`,
      ),
      shell("hanging", "sleep 60; true", "limits = { memory = 2 ^ 26 }"),
      shell("inherits", "grep ^Sig /proc/self/status >&2; ls -l /proc/self/fd >&2; exit 1"),
    ];
    nginx = await startNginx(
      options({
        prefix,
        server: server.join("\n"),
        // only a worker of root may change the user
        main: "user root; worker_cpu_affinity 01; env LEAK=me;",
      }),
    );
  });

  afterAll(async () => {
    await nginx?.stop();
  });

  const whole = async (name: string) =>
    JSON.parse(await call(nginx, name, "whole")) as {
      env: Record<string, string>;
      cwd: string;
      uid: number;
      gid: number;
      groups: number[];
    };

  test("the environment is what was asked for, and nothing of nginx's", async () => {
    expect((await whole("env")).env).toEqual({ GREETING: "a=b c", PATH: "/bin" });
    expect(Object.keys((await whole("plain")).env)).toEqual(["PATH"]);
  });

  test("the working directory, absolute or nginx's own", async () => {
    expect((await whole("env")).cwd).toBe(`${nginx.dir}/logs`);
    expect(await call(nginx, "nowhere", "pid")).toMatch(
      /cannot be started: chdir\("\/nowhere"\) as user "root" failed \(2: No such file or directory\)\|load_failed/,
    );
  });

  test("limits apply to the process", async () => {
    const limits = JSON.parse(await call(nginx, "limits", "status")) as string;
    expect(limits).toMatch(/Max open files +200 +200 /);
    expect(limits).toMatch(/Max core file size +0 +0 /);
    expect(limits).toMatch(/Max cpu time +1000 +1000 /);
    expect(limits).toMatch(/Max data size +68719476736 +68719476736 /);
    expect(await call(nginx, "greedy", "pid")).toMatch(
      /setrlimit\(.*\) as user "root" failed \(1: Operation not permitted\)\|load_failed/,
    );
  });

  test("one that exceeds its memory fails alone", async () => {
    expect(await call(nginx, "small", "grow")).toMatch(/^nil\|.*\|(runtime_down|runtime_error)$/m);
    await until(
      async () => Number(await call(nginx, "small", "pid")) > 0,
      10_000,
      () => "it does not come back",
    );
  });

  test("one that is not ready with its memory fails quickly, and asks about the limit", async () => {
    const begin = Date.now();
    expect(await nginx.get("/tiny")).toMatch(
      /its process \d+ ended .*; is limits\.memory \(5120 KiB\) enough\?\|runtime_down/,
    );
    expect(await nginx.get("/hanging")).toMatch(
      /not ready within the start limit .* is killed; is limits\.memory \(65536 KiB\) enough\?/,
    );
    expect(Date.now() - begin).toBeLessThan(10_000);
  });

  test("one that never attaches: the error asks what its program lacks", async () => {
    const never = (language: string, options: string) =>
      nginx.get(`/never?l=${language}&o=${encodeURIComponent(options)}`);
    const asks = String.raw`; does the program attach to its queue, with nffi_attach\(\) .* in Rust\?`;
    expect(await never("process", `program = "/bin/true"`)).toMatch(
      new RegExp(
        String.raw`^nil\|the runtime "true" is down: its process \d+ ended with code 0${asks}\|runtime_down`,
        "m",
      ),
    );
    const sleeps = `program = "/bin/sleep", args = { 60 }, start_timeout = 300`;
    expect(await never("process", sleeps)).toMatch(
      new RegExp(`not ready within the start limit .* and is killed${asks}`),
    );
    const python = `module = "a.py", program = "/bin/true"`;
    expect(await never("python", python)).toMatch(/ended with code 0; is \/bin\/true Python\?\|/);
    // its own message says more
    const fails = `program = "/bin/sh", args = { "-c", "echo no luck >&2; exit 1" }`;
    expect(await never("process", fails)).toMatch(/ended with code 1: no luck\|runtime_down/);
  });

  test("one that exceeds its CPU time is ended by the kernel", async () => {
    expect(await call(nginx, "short", "spin")).toMatch(/is down: its process \d+ ended/);
  });

  test("nice, upwards and for root downwards", async () => {
    expect(await call(nginx, "plain", "nice")).toBe(`${getPriority(nginx.workers()[0])}\n`);
    expect(await call(nginx, "polite", "nice")).toBe("17\n");
    expect(await call(nginx, "nobody", "nice")).toBe("-2\n");
  });

  test("a worker of root runs it as another user, with that user's groups", async () => {
    const id = (flag: string) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }));
    const { uid, gid, groups } = await whole("nobody");
    expect({ uid, gid, groups }).toEqual({ uid: id("-u"), gid: id("-g"), groups: [id("-g")] });
    expect(await call(nginx, "ghost", "pid")).toMatch(/unknown user "no-such-user"\|load_fail/);
  });

  test("user and a negative nice are refused unless the worker is root", async () => {
    const server = [
      location("user", `user = "daemon"`),
      location("negative", `nice = -1`),
      location("positive", `nice = 19`),
    ].join("\n");
    const main = "user nobody nogroup;";
    await withNginx(options({ prefix, server, main }), async (own) => {
      expect(await call(own, "user", "pid")).toBe(
        `the option user of a runtime requires a worker that runs as root, this one runs as "nobody"|not_permitted\n`,
      );
      expect(await call(own, "negative", "pid")).toMatch(
        /^a negative nice .*"nobody"\|not_permitted$/m,
      );
      expect(await call(own, "positive", "nice")).toBe("19\n");
    });
  });

  test("all CPUs, or with affinity = inherit those of the worker", async () => {
    const cpus = async (name: string) =>
      /Cpus_allowed:\s+(\S+)/.exec(JSON.parse(await call(nginx, name, "status")) as string)?.[1];
    const all = /Cpus_allowed:\s+(\S+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    expect(Number.parseInt(`${await cpus("narrow")}`, 16)).toBe(1);
    expect(await cpus("plain")).toBe(all);
  });

  test("a separate process group: a signal to nginx's group does not reach it", async () => {
    const pid = Number(await call(nginx, "plain", "pid"));
    const statOf = (one: number) =>
      readFileSync(`/proc/${one}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ")
        .map(Number);
    const [, , group, session, terminal] = statOf(pid);
    expect([group, terminal]).toEqual([pid, 0]);
    // sched_yield() hands a CPU over within a session only; test_spawn.c has a terminal
    const [, , , ofNginx, ownTerminal] = statOf(nginx.pid);
    if (ownTerminal === 0) expect(session).toBe(ofNginx);
    for (const signal of ["SIGINT", "SIGTERM", "SIGQUIT"] as const) process.kill(pid, signal);
    expect(Number(await call(nginx, "plain", "pid"))).toBe(pid);
  });

  test("no signal blocked or ignored, and no descriptor but its own", async () => {
    expect(await nginx.get("/inherits")).toMatch(/is down/);
    const log = await nginx.waitForLog(/\[module\.ts \(id \w+\)\] .*6 -> /);
    const lines = [...log.matchAll(/\[module\.ts \(id \w+\)\] ?(.*)/g)].map(
      (match) => match[1] ?? "",
    );
    for (const kind of ["SigBlk", "SigIgn"]) {
      expect(lines.find((line) => line.startsWith(kind))).toMatch(/\b0{16}$/);
    }
    // in an earlier test V8 runs out of memory, and it also writes arrows: "(582.1) -> 579.5 MB"
    const links = lines.filter((line) => /\d -> /.test(line));
    // 0 to 6, and the directory that ls reads; of sockets the control socket only
    expect(links.map((line) => /(\d+) -> /.exec(line)?.[1])).toEqual([
      ...["0", "1", "2", "3", "4", "5", "6", "7"],
    ]);
    expect(links.filter((line) => line.includes("socket:")).length).toBe(1);
  });
});

test("options that are none are errors at the line of the caller", async () => {
  const prefix = await builtOpenresty(anySuite);
  const bad = [
    `processes = 0`,
    `processes = 1.5`,
    `nice = 20`,
    `nice = "high"`,
    `limits = 5`,
    `limits = { disk = 1 }`,
    `limits = { files = 3 }`,
    `limits = { memory = -1 }`,
    `limits = { memory = 20 * 2 ^ 20 }`,
    `health = true`,
    `health = { period = 1 }`,
    `health = { interval = 0 }`,
    `start = "later"`,
    `start = 1`,
    `idle_timeout = 10`,
    `idle_timeout = "soon"`,
    `user = ""`,
    `user = "a\\0b"`,
    `directory = 7`,
    `affinity = "some"`,
    `env = { ["A=B"] = 1 }`,
  ];
  const server = content(
    "= /bad",
    bad
      .map(
        (option) => `ngx.say(show(pcall(function()
           local rt = nffi.load("node", { module = "m.ts", ${option} }) end)))`,
      )
      .join("\n"),
  );
  await withNginx({ prefix, server }, async (nginx) => {
    const responses = (await nginx.get("/bad")).trim().split("\n");
    expect(responses.map((response) => response.replace(/^false\|\S+:\d+: /, ""))).toEqual([
      "processes must be a whole number from 1 to 256, got 0",
      "processes must be a whole number from 1 to 256, got 1.5",
      "nice must be a whole number from -20 to 19, got 20",
      "nice must be a whole number from -20 to 19, got high",
      expect.stringMatching(/^limits must be a table, got /),
      'unknown field of limits "disk"',
      expect.stringMatching(/^limits\.files must be a whole number from 32 to/),
      expect.stringMatching(/^limits\.memory must be a whole number from 1 to/),
      "limits.memory must be at least 50331648 (48 MiB), since Node does not start with less; got 20971520",
      expect.stringMatching(/^health must be a table, got /),
      'unknown field of health "period"',
      expect.stringMatching(/^health\.interval must be a whole number from 10 to/),
      'start must be "load" or "first_call", got later',
      'start must be "load" or "first_call", got 1',
      expect.stringMatching(/^idle_timeout must be a whole number from 100 to .*, got 10$/),
      expect.stringMatching(/^idle_timeout must be a whole number from 100 to .*, got soon$/),
      "user must be the name of a user, got an empty string",
      expect.stringMatching(/^user must be the name of a user, got a/),
      "directory must be a path, got 7",
      expect.stringMatching(/^affinity must be "all" or "inherit", got /),
      "env: invalid name A=B",
    ]);
  });
});

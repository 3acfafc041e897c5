// PREFIX/nffi/bin/nffi-nginx, which starts, watches and stops the nginx of a project in any
// language: run as a user or a test of a project runs it, with each shell that Debian has.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { freePort } from "../../src/io/port.js";
import { until } from "../support/nginx.js";
import { builtOpenresty } from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

let prefix: string;
let tool: string;

beforeAll(async () => {
  prefix = await builtOpenresty();
  tool = join(prefix, "nffi/bin/nffi-nginx");
});

/** Answers with what `greeting.txt` held when the worker started. */
const conf = (listen: string | number) => `
error_log logs/error.log notice;
events {}
http {
    access_log off;
    include part.conf;
    init_worker_by_lua_block {
        greeting = io.lines(ngx.config.prefix() .. "../build/greeting.txt")()
        ngx.log(ngx.NOTICE, "the greeting is ", greeting)
    }
    server {
        # listen 1;
        listen ${listen};
        location = / { content_by_lua_block { ngx.print(greeting) } }
        location = /wait { content_by_lua_block { ngx.sleep(1) ngx.print("waited") } }
    }
    server { listen 127.0.0.1:@SECOND@; }
}
`;

async function project(listen?: string | number): Promise<{ dir: string; port: number }> {
  const dir = temporaryFolder();
  const port = await freePort();
  mkdirSync(join(dir, "build"));
  const text = conf(listen ?? `127.0.0.1:${port}`).replace("@SECOND@", String(await freePort()));
  writeFileSync(join(dir, "nginx.conf"), text);
  writeFileSync(join(dir, "part.conf"), "lua_code_cache on;\n");
  writeFileSync(join(dir, "build/greeting.txt"), "hello\n");
  writeFileSync(
    join(dir, ".gitignore"),
    "# what is made\nbuild/\nrun-test/\n*.o\n/made/here.txt\n",
  );
  onTestFinished(() => {
    for (const run of ["run", "run-test"]) spawnSync(tool, ["stop", "--run", run], { cwd: dir });
  });
  return { dir, port };
}

const nffiNginx = (cwd: string, ...args: string[]) =>
  spawnSync(tool, args, { cwd, encoding: "utf8" });

const get = async (port: number, path = "/") =>
  (await fetch(`http://127.0.0.1:${port}${path}`)).text();

/** A program whose output is collected, killed with its group should the test fail. */
function background(cwd: string, ...command: string[]) {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { cwd, detached: true });
  const shown = { child, output: "", ended: new Promise<number | null>(() => {}) };
  shown.ended = new Promise((done) => child.once("close", done));
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      shown.output += text;
    });
  }
  onTestFinished(() => signalGroup(child, "SIGKILL"));
  return shown;
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-(child.pid ?? 0), signal);
  } catch {
    // it has ended, as it should
  }
}

const refused = async (port: number) => expect(get(port)).rejects.toThrow();

describe.each([["dash"], ["bash", "--posix"], ["busybox", "sh"]])("by %s %s", (...shell) => {
  test("start, reload and stop, and each of them where there is nothing to do", async () => {
    const { dir, port } = await project();
    const [program = "", ...args] = [...shell, tool];
    const by = (...more: string[]) =>
      spawnSync(program, [...args, ...more], { cwd: dir, encoding: "utf8" });
    expect(by("stop").stdout).toBe("no nginx runs in run/\n");
    expect(by("reload").stderr).toBe("no nginx runs in run/\n");
    const started = by("start");
    expect(started.stderr).toBe("");
    expect(started.stdout).toBe(
      `nginx listens on http://127.0.0.1:${port} (log: run/logs/error.log)\n`,
    );
    expect(await get(port)).toBe("hello");
    const again = by("start");
    expect([again.stderr, again.status]).toEqual([
      "nginx already runs in run/: stop it first\n",
      1,
    ]);

    writeFileSync(join(dir, "build/greeting.txt"), "welcome\n");
    expect(by("reload").status).toBe(0);
    await until(
      async () => (await get(port)) === "welcome",
      10_000,
      () => "the old worker still answers",
    );
    const under = get(port, "/wait");
    await get(port);
    expect(by("stop").stdout).toBe("nginx has stopped\n");
    expect(await under).toBe("waited");
    await refused(port);
  });

  test("run serves on a free port until its standard input ends", async () => {
    const { dir, port } = await project();
    const serving = background(dir, ...shell, tool, "run");
    await until(
      () => serving.output.endsWith("\n"),
      20_000,
      () => serving.output,
    );
    const [, at] = /^http:\/\/127\.0\.0\.1:(\d+)\n$/.exec(serving.output) ?? [];
    expect(Number(at)).not.toBe(port);
    expect(await get(Number(at))).toBe("hello");
    serving.child.stdin.end();
    expect(await serving.ended).toBe(0);
    await refused(Number(at));
    expect(existsSync(join(dir, ".nginx-run-test.conf"))).toBe(false);
  });
});

test("another port: of a copy, whose includes are found, and which goes with nginx", async () => {
  const { dir, port } = await project();
  const other = await freePort();
  expect(nffiNginx(dir, "start", "--port", String(other)).stdout).toContain(`:${other} (log`);
  expect(await get(other)).toBe("hello");
  await refused(port);
  expect(readFileSync(join(dir, ".nginx-run.conf"), "utf8")).toContain("# listen 1;");
  const conf = join(dir, "nginx.conf");
  writeFileSync(conf, readFileSync(conf, "utf8").replace('print("waited")', 'print("changed")'));
  expect(nffiNginx(dir, "reload").stderr).toBe("");
  await until(
    async () => (await get(other, "/wait")) === "changed",
    10_000,
    () => "it was reloaded with the nginx.conf of its start",
  );
  await refused(port);
  nffiNginx(dir, "stop");
  expect(existsSync(join(dir, ".nginx-run.conf"))).toBe(false);
});

test.each(["%d", "*:%d reuseport", "localhost:%d", "0.0.0.0:%d"])("listen %s", async (form) => {
  const port = await freePort();
  const { dir } = await project(form.replace("%d", String(port)));
  expect(nffiNginx(dir, "start").stderr).toBe("");
  expect(await get(port)).toBe("hello");
});

test("a variable NGINX, which nginx itself uses, does no harm", async () => {
  const { dir, port } = await project();
  const env = { ...process.env, NGINX: tool };
  const options = { cwd: dir, env, encoding: "utf8", timeout: 20_000 } as const;
  expect(spawnSync(tool, ["start"], options).stdout).toContain("nginx listens on");
  expect(await get(port)).toBe("hello");
});

test("two run side by side, in separate directories", async () => {
  const { dir, port } = await project();
  const other = await freePort();
  writeFileSync(
    join(dir, "nginx.conf"),
    readFileSync(join(dir, "nginx.conf"), "utf8").replace(/server \{ listen 127.*/, ""),
  );
  expect(nffiNginx(dir, "start").status).toBe(0);
  const second = ["start", "--run", "run-test", "--port", String(other)];
  expect(nffiNginx(dir, ...second).status).toBe(0);
  expect([await get(port), await get(other)]).toEqual(["hello", "hello"]);
  expect(nffiNginx(dir, "stop", "--run", "run-test").stdout).toBe("nginx has stopped\n");
  expect(await get(port)).toBe("hello");
});

describe("what it refuses", () => {
  test("a port that another program uses, on the loopback address or on another", async () => {
    const { dir } = await project();
    for (const host of ["127.0.0.1", "0.0.0.0", "::", "127.0.0.2"]) {
      const server = createServer();
      await new Promise<void>((done) => server.listen(0, host, done));
      const { port } = server.address() as { port: number };
      const busy = nffiNginx(dir, "start", "--port", String(port));
      server.close();
      if (host === "127.0.0.2") expect(busy.status).toBe(0);
      else expect(busy.stderr).toContain(`port ${port} is used by another program: choose one`);
    }
  });

  test("a configuration that nginx does not take, in nginx's words", async () => {
    const { dir } = await project();
    writeFileSync(join(dir, "part.conf"), "no_such_directive on;");
    const failed = nffiNginx(dir, "start");
    expect(failed.stderr).toMatch(/^nginx cannot start:\nnginx: \[emerg\] .*no_such_directive/);
    expect(failed.status).toBe(1);
    // with --port nginx reads a copy
    writeFileSync(join(dir, "part.conf"), "");
    appendFileSync(join(dir, "nginx.conf"), "no_such_block {}\n");
    const copy = nffiNginx(dir, "start", "--port", "1");
    expect(copy.stderr).toMatch(/"no_such_block" in \S+\/nginx\.conf:\d+/);
  });

  test("a configuration without a port", async () => {
    const { dir } = await project("unix:nginx.sock");
    expect(nffiNginx(dir, "start").stderr).toMatch(/^nginx.conf has no line `listen PORT;`/);
  });

  test("a directory without nginx.conf, a product without nginx", async () => {
    const dir = temporaryFolder();
    expect(nffiNginx(dir, "start").stderr).toMatch(/^nginx\.conf not found in /);
    const env = { ...process.env, NFFI_PREFIX: "/nowhere" };
    const gone = spawnSync(tool, ["start"], { cwd: dir, env, encoding: "utf8" });
    expect(gone.stderr).toContain("/nowhere/nginx/sbin/nginx not found: run `nffi build` again");
  });

  test.each([
    ["no action", [], /^nffi-nginx: missing command\n {2}hint: /],
    ["an unknown action", ["jump"], /^nffi-nginx: unknown command "jump"\n {2}hint: /],
    ["an unknown option", ["start", "--prot", "1"], /^unknown argument "--prot"\n {2}hint: /],
    ["an option without its value", ["start", "--port"], /^missing value of --port\n/],
    [
      "a port that is none",
      ["start", "--port", "70000"],
      /expects 0 or a port from 1 to 65535, got "70000"/,
    ],
    ["a port for reload", ["reload", "--port", "1"], /^reload takes no --port\n {2}hint: /],
    ["a port for stop", ["stop", "--port", "1"], /^stop takes no --port\n {2}hint: /],
    ["a port that is no number", ["start", "--port", "1x"], /from 1 to 65535, got "1x"/],
    ["a path as --run", ["start", "--run", "../x"], /^--run expects the name of a directory/],
    ["a command for start", ["start", "--", "make"], /^start takes no command\n/],
  ])("%s", (_what, args, message) => {
    const told = nffiNginx(temporaryFolder(), ...args);
    expect(told.stderr).toMatch(message);
    expect(told.status).toBe(2);
  });
});

test("a stale pid file does no harm", async () => {
  const one = await project();
  const other = await project();
  expect(nffiNginx(other.dir, "start").status).toBe(0);
  const sleep = background(one.dir, "sleep", "1000");
  mkdirSync(join(one.dir, "run/logs"), { recursive: true });
  const pidOfOther = readFileSync(join(other.dir, "run/logs/nginx.pid"), "utf8");
  for (const pid of [sleep.child.pid, pidOfOther, "", "1 2", "-1"]) {
    writeFileSync(join(one.dir, "run/logs/nginx.pid"), `${pid}`);
    expect(nffiNginx(one.dir, "stop").stdout).toBe("no nginx runs in run/\n");
  }
  expect(sleep.child.exitCode).toBe(null);
  expect(await get(other.port)).toBe("hello");
});

describe("run", () => {
  const address = async (serving: { output: string }) => {
    await until(
      () => serving.output.endsWith("\n"),
      20_000,
      () => serving.output,
    );
    return Number(/:(\d+)\n$/.exec(serving.output)?.[1]);
  };

  test("ends with a test that is killed", async () => {
    const { dir } = await project();
    // the test: it holds the other end of the standard input
    const test = background(dir, "sh", "-c", `sleep 1000 | ${tool} run & wait`);
    const port = await address(test);
    expect(await get(port)).toBe("hello");
    signalGroup(test.child, "SIGTERM");
    await until(
      async () => (await get(port).catch(() => "gone")) === "gone",
      10_000,
      () => "nginx still serves",
    );
  });

  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "ends with %s while nginx starts",
    async (signal) => {
      const { dir } = await project();
      const text = readFileSync(join(dir, "nginx.conf"), "utf8");
      const slow = 'init_by_lua_block { os.execute("touch starting; sleep 1") }';
      writeFileSync(
        join(dir, "nginx.conf"),
        text.replace("access_log off;", `access_log off; ${slow}`),
      );
      const run = background(dir, tool, "run");
      await until(
        () => existsSync(join(dir, "starting")),
        10_000,
        () => `nginx does not start:\n${run.output}`,
      );
      run.child.kill(signal);
      const ended = await Promise.race([run.ended, setTimeout(10_000, "still there")]);
      expect(ended).toBe(0);
      expect(nffiNginx(dir, "stop", "--run", "run-test").stdout).toContain("no nginx runs");
    },
  );

  test("ends what an earlier one has left, and begins with an empty log", async () => {
    const { dir } = await project();
    const killed = background(dir, tool, "run");
    const left = await address(killed);
    signalGroup(killed.child, "SIGKILL");
    await killed.ended;
    expect(await get(left)).toBe("hello");
    const serving = background(dir, tool, "run");
    expect(await get(await address(serving))).toBe("hello");
    await refused(left);
    const log = readFileSync(join(dir, "run-test/logs/error.log"), "utf8");
    expect(log.split("the greeting is hello")).toHaveLength(2);
    serving.child.stdin.end();
    expect(await serving.ended).toBe(0);
  });

  test.skipIf(!existsSync("/proc/net/if_inet6"))(
    "takes no port that IPv4 would not have",
    async () => {
      const { dir } = await project();
      const taken = ["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::"];
      const ports: number[] = [];
      while (ports.length < taken.length) {
        const port = 20_000 + Math.floor(Math.random() * 12_000);
        const server = createServer();
        onTestFinished(() => void server.close());
        await once(server.listen(port, taken[ports.length]), "listening").then(
          () => ports.push(port),
          () => {}, // not free
        );
      }
      // what it takes for random numbers: these ports one after another, then others
      const od = join(dir, "bin/od");
      mkdirSync(join(dir, "bin"));
      writeFileSync(join(dir, "tries"), ports.map((port) => `${port - 20_000}\n`).join(""));
      writeFileSync(
        od,
        `#!/bin/sh
try=$(head -n 1 ${dir}/tries)
[ -n "$try" ] || { rm -f ${od}; exec od "$@"; }
sed -i 1d ${dir}/tries
echo "$try"
`,
        { mode: 0o755 },
      );
      const path = `PATH=${dir}/bin:${process.env.PATH}`;
      const serving = background(dir, "env", path, tool, "run");
      expect(ports).not.toContain(await address(serving));
      expect(readFileSync(join(dir, "tries"), "utf8")).toBe("");
      serving.child.stdin.end();
      expect(await serving.ended).toBe(0);
    },
  );

  test("says why nginx does not start", async () => {
    const { dir } = await project();
    writeFileSync(join(dir, "part.conf"), "no_such_directive on;");
    const failed = nffiNginx(dir, "run");
    expect(failed.stderr).toContain("no_such_directive");
    expect([failed.stdout, failed.status]).toEqual(["", 1]);
  });
});

describe("dev", () => {
  /** The command fails on a source that says so; what it makes is no source. */
  const BUILD = `if grep wrong greeting.src; then echo "it does not build"; exit 1; fi
    cp greeting.src made.o && mv made.o build/greeting.txt && echo built`;

  /** In one step: a build must not find an empty file. */
  const save = (dir: string, greeting: string) => {
    writeFileSync(join(dir, ".new"), greeting);
    renameSync(join(dir, ".new"), join(dir, "greeting.src"));
  };

  test("builds and reloads on a change, keeps the old code where that fails, ends all", async () => {
    const { dir, port } = await project();
    save(dir, "first\n");
    const dev = background(dir, tool, "dev", "--", "sh", "-c", BUILD);
    const shows = (text: string | RegExp) =>
      until(
        () => (typeof text === "string" ? dev.output.includes(text) : text.test(dev.output)),
        20_000,
        () => dev.output,
      );
    const answers = (text: string) =>
      until(
        async () => (await get(port)) === text,
        20_000,
        () => dev.output,
      );
    await shows("watching for changes; Ctrl-C also stops nginx");
    expect(dev.output).toMatch(new RegExp(`^built\nnginx listens on http://127.0.0.1:${port} `));
    await answers("first");
    await shows("the greeting is first");

    save(dir, "second\n");
    await answers("second");
    await shows("the greeting is second");
    // one line for the reload, beside what the command and the project print
    const said = dev.output.slice(dev.output.lastIndexOf("built\n"));
    expect(said.replace(/^.* \[notice\] .*\[lua\] .*: the greeting is \w+.*\n/gm, "")).toBe(
      "built\nnginx is reloaded: new requests run the new code\n",
    );

    // what does not build is not loaded, nor what nginx refuses
    save(dir, "wrong\n");
    await shows("it does not build\nthe build failed (status 1): the old code keeps running\n");
    expect(await get(port)).toBe("second");

    writeFileSync(join(dir, "part.conf"), "no_such_directive on;\n");
    save(dir, "third\n");
    await shows("no_such_directive");
    expect(await get(port)).toBe("second");
    rmSync(join(dir, "part.conf"));
    writeFileSync(join(dir, "part.conf"), "lua_code_cache on;\n");
    await answers("third");

    // neither what is made nor what is hidden is a change
    const builds = () => dev.output.split("built\n").length;
    const before = builds();
    for (const name of ["build/x", "x.o", ".hidden"]) writeFileSync(join(dir, name), "x");
    writeFileSync(join(dir, "new.src"), "x");
    await until(
      () => builds() === before + 1,
      20_000,
      () => dev.output,
    );
    signalGroup(dev.child, "SIGINT");
    expect(await dev.ended).toBe(0);
    expect(dev.output).toMatch(/nginx has stopped\n$/);
    await refused(port);
  });

  test("the last line of .gitignore counts, even if nothing ends it", async () => {
    const { dir } = await project();
    writeFileSync(join(dir, ".gitignore"), "run-test/\nbuild");
    const dev = background(dir, tool, "dev", "--", "sh", "-c", "date +%N > build/at && echo built");
    await until(
      () => dev.output.includes("watching for changes"),
      20_000,
      () => dev.output,
    );
    writeFileSync(join(dir, "new.src"), "x");
    await until(
      () => dev.output.includes("nginx is reloaded"),
      20_000,
      () => dev.output,
    );
    // long enough for a few looks
    await setTimeout(1500);
    expect(dev.output.split("built\n")).toHaveLength(3);
    signalGroup(dev.child, "SIGINT");
    expect(await dev.ended).toBe(0);
  });

  test("a first build that fails starts nothing; nginx starts after a change", async () => {
    const { dir, port } = await project();
    save(dir, "wrong\n");
    const dev = background(dir, tool, "dev", "--", "sh", "-c", BUILD);
    const shows = (text: string) =>
      until(
        () => dev.output.endsWith(text),
        20_000,
        () => dev.output,
      );
    await shows("the build failed (status 1): nginx starts when it succeeds\n");
    await refused(port);
    save(dir, "first\n");
    await shows("watching for changes; Ctrl-C also stops nginx\n");
    expect(await get(port)).toBe("first");
    signalGroup(dev.child, "SIGINT");
    expect(await dev.ended).toBe(0);
    await refused(port);
  });

  test("without a command it reloads, also with another port", async () => {
    const { dir } = await project();
    const port = await freePort();
    const dev = background(dir, tool, "dev", "--port", String(port));
    await until(
      () => dev.output.includes("watching for changes"),
      20_000,
      () => dev.output,
    );
    const conf = join(dir, "nginx.conf");
    writeFileSync(conf, readFileSync(conf, "utf8").replace('print("waited")', 'print("changed")'));
    await until(
      async () => (await get(port, "/wait")) === "changed",
      20_000,
      () => dev.output,
    );
    signalGroup(dev.child, "SIGTERM");
    expect(await dev.ended).toBe(0);
  });
});

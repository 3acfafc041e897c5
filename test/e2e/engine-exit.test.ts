// The shutdown of a process when its worker exits: its exit functions run, its last lines are
// logged, and one that does not exit delays nothing.
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { JavaClasses } from "../sdk/java/java-runtime.js";
import { systemPython } from "../sdk/python/python.js";
import { content } from "../support/lua.js";
import {
  type Nginx,
  type NginxOptions,
  startNginxForTest,
  until,
  withNginx,
} from "../support/nginx.js";
import { builtOpenresty, flavor } from "../support/openresty.js";

const FILES = {
  "exit.ts": `
import { writeFileSync } from "node:fs";
process.on("exit", () => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  writeFileSync("end", "x");
  console.log("has tidied up");
});
export default (bytes: Uint8Array) => bytes;
`,
  "exit.py": `
import atexit, time
def end():
    time.sleep(0.05)
    open("end", "w").close()
    print("has tidied up")
atexit.register(end)
def handle(data):
    return data
`,
  "stays.ts": `
process.on("exit", () => { for (;;); });
export default (bytes: Uint8Array) => bytes;
export const busy = () => { for (;;); };
`,
  // its pipe blocks: Node would drop what does not fit
  "talks.py": `
import atexit
def end():
    for line in range(3000):
        print("x" * 100, flush=True)
    open("end", "w").close()
atexit.register(end)
def handle(data):
    return data
`,
  // of the processes that a reload starts, one does not get ready
  "reloads.ts": `
import { existsSync, openSync, writeFileSync } from "node:fs";
if (existsSync("reload")) {
  try {
    openSync("one", "wx");
  } catch {
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  }
  process.on("exit", () => writeFileSync("end", "x"));
}
export default (bytes: Uint8Array) => bytes;
`,
};

let prefix: string;
// a build with AddressSanitizer has no Java
let java: JavaClasses;

beforeAll(async () => {
  prefix = await builtOpenresty();
  if (flavor !== "asan") java = new JavaClasses("test/sdk/java/fixtures/exit", prefix);
});

afterAll(() => java?.remove());

/** GET /: loads the runtime and calls it. */
function options(language: string, fields: string, more: Partial<NginxOptions> = {}): NginxOptions {
  const load = `assert(nffi.load("${language}", { ${fields}, directory = ngx.config.prefix() }))`;
  const server = [
    content("= /", `ngx.print(assert(${load}:call("here", { timeout = 10000 })))`),
    content("= /busy", `ngx.say(show(${load}:call("", { method = "busy", timeout = 200 })))`),
  ];
  // the user of a worker that root has started may not write into nginx's directory
  const user = process.getuid?.() === 0 ? "user root;" : "";
  const main = `${user} ${more.main ?? ""}`;
  return { prefix, server: server.join("\n"), files: FILES, ...more, main };
}

const languages: [string, () => NginxOptions][] = [
  ["node", () => options("node", 'module = "exit.ts"')],
  [
    "python",
    () => options("python", `module = "exit.py", codec = "raw", program = "${systemPython}"`),
  ],
  ["java", () => options("java", `module = "Exit", classpath = "${java.classes}"`)],
];

async function ends(nginx: Nginx, signal: NodeJS.Signals): Promise<void> {
  nginx.signal(signal);
  await until(
    () => nginx.process.exitCode !== null,
    20_000,
    () => `nginx does not end:\n${nginx.errorLog()}`,
  );
}

describe.each(languages.filter(([name]) => name !== "java" || flavor !== "asan"))(
  "a process of %s has the time to tidy up",
  (_, of) => {
    // half a second after SIGTERM is little on a machine that is busy otherwise
    test.each(["SIGQUIT", "SIGTERM"] as const)("at %s", { retry: 2 }, async (signal) => {
      const nginx = await startNginxForTest(of());
      expect(await nginx.get("/")).toBe("here");
      await ends(nginx, signal);
      expect(existsSync(join(nginx.dir, "end")), nginx.errorLog()).toBe(true);
      expect(nginx.errorLog()).toMatch(/\[notice\].*has tidied up/);
    });

    test("at a reload, in the old worker", async () => {
      await withNginx(of(), async (nginx) => {
        const end = join(nginx.dir, "end");
        for (let n = 1; n <= 3; n++) {
          expect(await nginx.get("/")).toBe("here");
          const [worker = 0] = nginx.workers();
          nginx.signal("SIGHUP");
          await until(
            () => !nginx.workers().includes(worker),
            10_000,
            () => `the old worker stays:\n${nginx.errorLog()}`,
          );
          expect(existsSync(end), nginx.errorLog()).toBe(true);
          expect(nginx.errorLog().split("has tidied up").length - 1).toBe(n);
          rmSync(end);
        }
      });
    });
  },
);

describe("a process that does not end", () => {
  const stays = (main = "") => options("node", 'module = "stays.ts"', { main });

  async function timeOf(nginx: Nginx, signal: NodeJS.Signals): Promise<number> {
    const begin = Date.now();
    await ends(nginx, signal);
    const time = Date.now() - begin;
    await nginx.stop();
    return time;
  }

  test("keeps a worker that quits for 5 s, and is killed", async () => {
    const nginx = await startNginxForTest(stays());
    expect(await nginx.get("/")).toBe("here");
    const time = await timeOf(nginx, "SIGQUIT");
    expect(time).toBeGreaterThan(4500);
    expect(time).toBeLessThan(15_000);
  });

  test("or for worker_shutdown_timeout", async () => {
    const nginx = await startNginxForTest(stays("worker_shutdown_timeout 1s;"));
    expect(await nginx.get("/")).toBe("here");
    const time = await timeOf(nginx, "SIGQUIT");
    expect(time).toBeGreaterThan(800);
    expect(time).toBeLessThan(4500);
  });

  test("has half a second when nginx is stopped", async () => {
    const nginx = await startNginxForTest(stays());
    expect(await nginx.get("/")).toBe("here");
    const time = await timeOf(nginx, "SIGTERM");
    expect(time).toBeGreaterThan(400);
    expect(time).toBeLessThan(4500);
  });

  test("takes no time from another, whose pipe is full", async () => {
    const call = (language: string, fields: string) =>
      `ngx.print(assert(nffi.load("${language}", {
         ${fields}, directory = ngx.config.prefix(),
       })):call("x", { timeout = 10000 }))`;
    const talks = `module = "talks.py", codec = "raw", program = "${systemPython}"`;
    const server = content(
      "= /",
      `${call("node", 'module = "stays.ts"')} ${call("python", talks)}`,
    );
    const nginx = await startNginxForTest({ ...stays(), server });
    expect(await nginx.get("/")).toBe("xx");
    await ends(nginx, "SIGQUIT");
    const log = nginx.errorLog();
    expect(existsSync(join(nginx.dir, "end")), log).toBe(true);
    // all that it said is logged, or counted: more than 1000 lines in a second are dropped
    const dropped = [...log.matchAll(/ (\d+) lines were dropped/g)].map(([, n]) => Number(n));
    const logged = log.match(/\] x{100}$/gm)?.length ?? 0;
    expect(dropped.reduce((sum, n) => sum + n, logged)).toBe(3000);
  });

  test("does not delay the exit while it works on a cancelled call", async () => {
    const nginx = await startNginxForTest(stays());
    expect(await nginx.get("/busy")).toMatch(/timeout/);
    expect(await timeOf(nginx, "SIGQUIT")).toBeLessThan(4500);
  });
});

test("a process of a reload that was not yet served has the time as well", async () => {
  const reload = `assert(nffi.load("node", {
    module = "reloads.ts", directory = ngx.config.prefix(), processes = 2,
  })):reload()`;
  const given = options("node", 'module = "reloads.ts", processes = 2');
  const server = given.server + content("= /reload", reload);
  const nginx = await startNginxForTest({ ...given, server });
  expect(await nginx.get("/")).toBe("here");

  writeFileSync(join(nginx.dir, "reload"), "");
  nginx.get("/reload").catch(() => {});
  await until(
    () => existsSync(join(nginx.dir, "one")),
    10_000,
    () => `no process is started:\n${nginx.errorLog()}`,
  );
  // and has notified its worker, which is not visible from outside
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await ends(nginx, "SIGTERM");
  expect(existsSync(join(nginx.dir, "end")), nginx.errorLog()).toBe(true);
});

// Runtimes in Python through a real nginx, as a process and in the worker: values, errors,
// cancellations, streams, logs, sys.exit, reload.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stalledClient, untilItStops } from "../../support/flow.js";
import { type Nginx, startNginx, until, withNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { pythonNginx } from "./python.js";

let prefix: string;

beforeAll(async () => {
  prefix = await builtOpenresty();
});

const pathOf = (kind: string, host: string, query: Record<string, unknown>) => {
  const given = Object.entries({ host, ...query }).map(
    ([name, value]) => `${name}=${encodeURIComponent(String(value))}`,
  );
  return `/${kind}?${given.join("&")}`;
};

/** [value, message, code, detail] */
type Result = [unknown, string?, string?, string?];

/** Calls a method with a value, over HTTP and Lua. */
async function callOf(
  nginx: Nginx,
  host: string,
  name: string,
  value: unknown = null,
  query: Record<string, unknown> = {},
): Promise<Result> {
  const path = pathOf("call", host, { name, ...query });
  const { body } = await nginx.request(path, { method: "POST", body: JSON.stringify(value) });
  expect(body).toMatch(/^\[/);
  return JSON.parse(body);
}

describe.each(["process", "worker"])("in the %s", (host) => {
  let nginx: Nginx;

  beforeAll(async () => {
    nginx = await startNginx({ ...pythonNginx(prefix), logLevel: "debug" });
  });

  afterAll(() => nginx?.stop());

  const call = (name: string, value?: unknown, query?: Record<string, unknown>) =>
    callOf(nginx, host, name, value, query);
  const value = async (...args: Parameters<typeof call>) => {
    const [first, message] = await call(...args);
    expect(message).toBe(undefined);
    return first;
  };

  test("a function is a method with values", async () => {
    const response = (await value("hello", { name: "Ada" })) as { greeting: string; pid: number };
    expect(response.greeting).toBe("hello Ada");
    expect(nginx.workers().includes(response.pid)).toBe(host === "worker");
    expect(await value("mirror", { x: 1, y: 2 })).toEqual({ x: 2, y: 1 });
  });

  test("an exception is nil, message, code and the traceback", async () => {
    expect((await call("hello", { name: "" })).slice(0, 3)).toEqual([
      null,
      "the name is empty",
      "runtime_error",
    ]);
    const [, message, code, detail] = await call("fail");
    expect([message, code]).toEqual(["ValueError: no luck: ü", "runtime_error"]);
    expect(detail).toContain("KeyError: 'missing'");
    expect(detail).toMatch(/app\.py", line \d+, in fail/);
    expect((await call("odd"))[1]).toBe(
      "TypeError: the result cannot become JSON: it has a set: use list()",
    );
    expect((await call("mirror", { z: 1 }))[1]).toContain("the request is no Point");
  });

  test("what is no public function of the module is no method", async () => {
    for (const name of ["_hidden", "nothing", "sys", "Point", "dataclass"]) {
      expect((await call(name))[1]).toMatch(
        new RegExp(`^unknown method "${name}" in app.py; methods: `),
      );
    }
  });

  test.each([0, 1, 4096, 100_000, 5_000_000])("%d bytes come back as they were", async (size) => {
    const body = "\0\u0001ab".repeat(size / 4 + 1).slice(0, size);
    const request = { method: "POST" as const, body };
    for (const module of ["app.py", "aio.py"]) {
      expect((await nginx.request(pathOf("raw", host, { module }), request)).body).toBe(body);
    }
  });

  test.each(["app.py", "aio.py"])(
    "%s: 1000 calls in flight get their own answers",
    async (module) => {
      expect(await nginx.get(pathOf("threads", host, { module }))).toBe("1000");
    },
  );

  test.each([
    ["app.py", "wait"],
    ["aio.py", "wait"],
    ["aio.py", "block"],
  ])("%s: calls of %s that wait do it side by side", async (module, name) => {
    await call("seen", null, { module });
    const began = Date.now();
    const all = await Promise.all(Array.from({ length: 5 }, () => value(name, 1, { module })));
    expect(all).toEqual(Array(5).fill("waited"));
    // one after another it would be five
    expect(Date.now() - began).toBeLessThan(4000);
  });

  test.each(["app.py", "aio.py"])("%s: a timeout is the deadline", async (module) => {
    expect(await value("left", null, { module, timeout: 0 })).toBe(null);
    const left = Number(await value("left", null, { module, timeout: 60_000 }));
    expect(left).toBeGreaterThan(30);
    expect(left).toBeLessThanOrEqual(60);
  });

  const seen = async (module: string) =>
    (await value("seen", null, { module })) as Record<
      "running" | "cancelled" | "sent" | "closed",
      number
    >;

  test.each(["app.py", "aio.py"])("%s: a call is notified of its cancellation", async (module) => {
    const before = (await seen(module)).cancelled;
    expect((await call("wait", 60, { module, timeout: 100 }))[2]).toBe("timeout");
    const gone = new AbortController();
    const path = pathOf("call", host, { module, name: "wait" });
    const slow = nginx.request(path, { method: "POST", body: "60", signal: gone.signal });
    slow.catch(() => {});
    await until(
      async () => (await seen(module)).running > 0,
      10_000,
      () => "the call did not start",
    );
    gone.abort();
    await until(
      async () =>
        (await seen(module)).cancelled === before + 2 && (await seen(module)).running === 0,
      10_000,
      () => nginx.errorLog(),
    );
  });

  test.each([
    ["app.py", "count"],
    ["aio.py", "count"],
    ["aio.py", "plain_count"],
  ])(
    "%s: the chunks of %s are read one by one, then the end or the error",
    async (module, name) => {
      const stream = (n: number) => nginx.get(pathOf("stream", host, { module, name, n }));
      expect(await stream(13)).toBe("13 78 nil");
      expect(await stream(0)).toBe("0 0 nil");
      if (name === "count") expect(await stream(20)).toBe("13 78 that number is refused");
      expect(await value(name, 3, { module })).toEqual([0, 1, 2]);
    },
  );

  test.each(["app.py", "aio.py"])(
    "%s: a stream waits for its reader, and ends with it",
    async (module) => {
      const client = await stalledClient(`${nginx.url}${pathOf("flood", host, { module })}`);
      await untilItStops(async () => (await seen(module)).sent);
      expect((await seen(module)).running).toBe(1);
      await client.leave();
      await until(
        async () => (await seen(module)).running === 0 && (await seen(module)).closed === 1,
        10_000,
        () => "the generator goes on",
      );
    },
  );

  test("beside async functions, plain ones run in threads, or on the loop if marked", async () => {
    const aio = { module: "aio.py" };
    expect(await value("thread", null, aio)).toBe(false);
    expect(await value("quick", null, aio)).toBe("on the loop");
    expect((await call("fail", null, aio)).slice(1, 3)).toEqual([
      "ValueError: no luck: ü",
      "runtime_error",
    ]);
  });

  test("print, logging, warnings and the log of the call arrive with their levels", async () => {
    await value("say");
    await value("unasked");
    const lines = [
      /\[info\] .*app: the module is loaded/,
      /\[notice\] .*a print ü/,
      /\[error\] .*to stderr/,
      /\[warn\] .*app: a warning 7.*request: "POST \/call/,
      /\[warn\] .*old-fashioned/,
      /\[error\] .*of the call.*request: "POST \/call/,
      /\[notice\] .*of a thread/,
    ];
    for (const line of lines) {
      await until(
        () => line.test(nginx.errorLog()),
        10_000,
        () => `no ${line} in:\n${nginx.errorLog().slice(-5000)}`,
      );
    }
  });

  test("two configurations are two runtimes side by side", async () => {
    const greeting = async (prefix: string) => {
      const options = JSON.stringify({ config: { prefix } });
      return ((await value("hello", { name: "x" }, { options })) as { greeting: string }).greeting;
    };
    expect([await greeting("a"), await greeting("b"), await greeting("a")]).toEqual([
      "a x",
      "b x",
      "a x",
    ]);
  });

  test("a package's module is found in path, its handler by name", async () => {
    const { body } = await nginx.request(
      pathOf("raw", host, { module: "helper", options: JSON.stringify({ handler: "shout" }) }),
      { method: "POST", body: "abc" },
    );
    expect(body).toBe("ABC");
  });

  test("one that computes keeps neither the worker nor its other calls waiting", async () => {
    await value("seen");
    const hog = value("hog", 6);
    const began = Date.now();
    for (let i = 0; i < 20; i++) expect(await nginx.get("/alive")).toContain("alive");
    expect(await value("hello", { name: "Ada" })).toMatchObject({ greeting: "hello Ada" });
    expect(Date.now() - began).toBeLessThan(5500);
    expect(await hog).toBe("done");
  });

  test("programs that Python starts have all signals, however it starts them", async () => {
    for (const way of ["plain", "restored", "spawn", "fork"]) {
      expect(await value("masks", way, { module: "pools.py" }), way).toEqual([0, 0]);
    }
  });

  test("multiprocessing copies no worker of nginx unless it is told to", async () => {
    const method = await value("default_method", null, { module: "pools.py" });
    if (host === "worker") expect(method).toBe("spawn");
    else expect(["fork", "forkserver"]).toContain(method);
  });

  const methods = host === "worker" ? ["spawn"] : ["fork", "spawn", "forkserver"];
  test.each(methods)("multiprocessing works by %s", async (method) => {
    expect(await value("pool", method, { module: "pools.py" })).toEqual([0, 1, 4, 9]);
    expect(await value("one", method, { module: "pools.py" })).toEqual([method, [0, -15, -1, -3]]);
  });

  test("programs that Python starts, and those of Lua, end as they should", async () => {
    expect(await value("shell", "echo out; exit 3")).toEqual([3, "out\n"]);
    const all = Array.from({ length: 30 }, (_, i) => value("shell", `exit ${i % 2}`));
    const codes = (await Promise.all(all)).map((ran) => (ran as [number])[0]);
    expect(codes.sort()).toEqual([...Array(15).fill(0), ...Array(15).fill(1)]);
  });
});

describe.each(["process", "worker"])("%s: its own life", (host) => {
  test("sys.exit in a function", async () => {
    await withNginx(pythonNginx(prefix), async (nginx) => {
      for (const module of ["app.py", "aio.py"]) {
        const slow = callOf(nginx, host, "wait", 2, { module });
        const answer = callOf(nginx, host, "leave", 3, { module });
        const [, message, code] = await answer;
        if (host === "worker") {
          expect(message).toBe("SystemExit: 3 (sys.exit() ends this call, not the worker)");
          expect(code).toBe("runtime_error");
          expect((await slow)[0]).toBe("waited");
          continue;
        }
        expect(code).toBe("runtime_down");
        await nginx.waitForLog(`[${module}] ended its process with exit code 3`);
        await until(
          async () => (await callOf(nginx, host, "hello", { name: "x" }, { module }))[0] !== null,
          10_000,
          () => nginx.errorLog(),
        );
        await slow;
      }
    });
  });

  test("reload loads the module and what it imports, and keeps them where it cannot", async () => {
    await withNginx(pythonNginx(prefix), async (nginx) => {
      const edit = (file: string, from: string, to: string) => {
        const text = pythonNginx(prefix).files?.[file] ?? "";
        writeFileSync(join(nginx.dir, file), text.replace(from, to));
      };
      const reload = async () => JSON.parse(await nginx.get(pathOf("reload", host, {})));
      const helped = async () => (await callOf(nginx, host, "helped"))[0];
      expect(await helped()).toBe("first");
      const slow = callOf(nginx, host, "wait", 1);
      await new Promise((done) => setTimeout(done, 200));
      edit("helper.py", '"first"', '"second one"');
      expect(await reload()).toEqual([true]);
      expect(await helped()).toBe("second one");
      expect((await slow)[0]).toBe("waited");

      edit("app.py", "import helper", "import helper\nraise ValueError('not today')");
      const [done, message, code] = await reload();
      expect([done, code]).toEqual([null, "reload_failed"]);
      expect(message).toContain("not today");
      expect(await helped()).toBe("second one");
    });
  });

  test("a module that cannot be loaded is reported with the reason, and tried again", async () => {
    const broken = { "late.py": "import time\ntime.sleep(0.5)\nimport nothing_such\n" };
    const options = pythonNginx(prefix);
    const files = { ...options.files, ...broken };
    await withNginx({ ...options, files }, async (nginx) => {
      const call = () => callOf(nginx, host, "hello", { name: "x" }, { module: "late.py" });
      const first = call();
      // the start takes its time, and the worker does not
      expect(await nginx.get("/alive")).toContain("alive");
      const [, message] = await first;
      expect(message).toContain("No module named 'nothing_such'");
      await nginx.waitForLog("No module named 'nothing_such'");
      writeFileSync(join(nginx.dir, "late.py"), "def hello(request):\n    return 'at last'\n");
      await until(
        async () => (await call())[0] === "at last",
        20_000,
        () => nginx.errorLog(),
      );
    });
  });

  test.each(["SIGQUIT", "SIGHUP"] as const)("%s answers the calls under way", async (signal) => {
    await withNginx(pythonNginx(prefix), async (nginx) => {
      for (const module of ["app.py", "aio.py"])
        await callOf(nginx, host, "seen", null, { module });
      const slow = ["app.py", "aio.py"].map((module) =>
        callOf(nginx, host, "wait", 1.5, { module }),
      );
      for (const module of ["app.py", "aio.py"]) {
        await until(
          async () =>
            ((await callOf(nginx, host, "seen", null, { module }))[0] as { running: number })
              .running === 1,
          10_000,
          () => nginx.errorLog(),
        );
      }
      if (signal === "SIGHUP") await nginx.reload();
      else nginx.signal(signal);
      for (const answer of slow) expect((await answer)[0]).toBe("waited");
      if (signal === "SIGHUP") {
        expect((await callOf(nginx, host, "hello", { name: "x" }))[1]).toBe(undefined);
      }
    });
  });
});

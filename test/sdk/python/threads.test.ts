// Runtimes in Python whose threads cannot all be started, as a process and in the worker.
import { beforeAll, describe, expect, test } from "vitest";
import { withNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { call, optionsOf, pythonNginx } from "./python.js";

let prefix: string;

beforeAll(async () => {
  prefix = await builtOpenresty();
});

describe.each(["process", "worker"])("threads that cannot be started, in the %s", (host) => {
  // no system has room for a stack of that size
  const files = {
    "one.py": `import threading
threading.stack_size(1 << 47)
def hello():
    return threading.current_thread().name
`,
    "mixed.py": `import threading, time
threading.stack_size(1 << 47)
def thread(seconds):
    time.sleep(seconds or 0)
    return "a thread"
async def may(start):
    threading.stack_size(0 if start else 1 << 47)
async def loop():
    return "the loop"
`,
  };
  const options = () => {
    const own = pythonNginx(prefix);
    return { ...own, files: { ...own.files, ...files } };
  };

  test("are done without: the thread that there is serves", async () => {
    await withNginx(options(), async (nginx) => {
      const query = `&module=one.py${optionsOf({ threads: 3 })}`;
      for (let n = 0; n < 3; n++) {
        expect((await call(nginx, host, "hello", query))[1]).toBeUndefined();
      }
      await nginx.waitForLog("it is served by fewer threads than 3");
      const [, message] = JSON.parse(await nginx.get(`/reload?host=${host}&module=one.py`));
      if (host === "worker") expect(message).toContain("can't start new thread");
      expect((await call(nginx, host, "hello", query))[1]).toBeUndefined();
    });
  });

  test("fail the calls beside an event loop that need one, until there is one", async () => {
    await withNginx(options(), async (nginx) => {
      const query = "&module=mixed.py&timeout=5000";
      const [, message, code] = await call(nginx, host, "thread", query);
      expect([message, code]).toEqual([
        expect.stringContaining("can't start new thread"),
        "runtime_error",
      ]);
      expect(await call(nginx, host, "loop", query)).toEqual(["the loop"]);
      expect(await call(nginx, host, "may", query, true)).toEqual([null]);
      expect(await call(nginx, host, "thread", query)).toEqual(["a thread"]);
    });
  });

  test("leave the calls to the threads beside an event loop that there are", async () => {
    await withNginx(options(), async (nginx) => {
      const query = "&module=mixed.py&timeout=5000";
      expect(await call(nginx, host, "may", query, true)).toEqual([null]);
      expect(await call(nginx, host, "thread", query)).toEqual(["a thread"]);
      expect(await call(nginx, host, "may", query, false)).toEqual([null]);
      const calls = [1, 2, 3, 4].map(() => call(nginx, host, "thread", query, 0.1));
      expect(await Promise.all(calls)).toEqual(Array(4).fill(["a thread"]));
      await nginx.waitForLog("it is served by fewer threads than");
      expect(await call(nginx, host, "loop", query)).toEqual(["the loop"]);
    });
  });
});

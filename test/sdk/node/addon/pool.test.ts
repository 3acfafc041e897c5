// The pool of worker threads: which thread gets a call, how one ends and is replaced, and that
// cancellations, streams, logs and large payloads find their way.
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { repository } from "../../../support/cli.js";
import { temporaryFolder } from "../../../support/temporary.js";
import { installedNode, NODE_VERSIONS } from "../nodes.js";
import { fixture, Host, type HostOptions, stopHosts, untilTrue } from "./host.js";

afterEach(stopHosts);

const start = (options: HostOptions = {}) =>
  Host.start(fixture("pool.mjs"), { threads: 2, ...options });

describe.each(NODE_VERSIONS)("Node %i", (version) => {
  test("concurrent calls that compute run in several threads", async () => {
    const host = await start({ program: installedNode(version), config: { a: 1 } });
    expect(await host.json("config")).toEqual({ a: 1 });
    const threads = await Promise.all([host.json("computes", 300), host.json("computes", 300)]);
    expect(new Set(threads).size).toBe(2);
    expect(threads).not.toContain(0);
    expect(host.stderr).toBe("");
  });

  test("TypeScript that is stripped, or bundled, is loaded by each thread", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(join(repository, "node_modules/esbuild"), join(folder, "node_modules/esbuild"));
    const twice = "export const twice = (n: number): number => n *";
    writeFileSync(join(folder, "stripped.ts"), `${twice} 2;\n`);
    writeFileSync(join(folder, "bundled.ts"), `enum Factor { two = 2 }\n${twice} Factor.two;\n`);
    for (const module of ["stripped.ts", "bundled.ts"]) {
      const program = installedNode(version);
      const host = await Host.start(join(folder, module), { threads: 2, program });
      expect(await Promise.all([1, 2, 3].map((n) => host.json("twice", n)))).toEqual([2, 4, 6]);
    }
  });
});

test("a call waits for no thread that computes while another is free", async () => {
  const host = await start();
  const long = host.json("computes", 1500).then(() => "long");
  const short = Promise.all(Array.from({ length: 20 }, () => host.json("computes", 5)));
  expect(await Promise.race([long, short.then(() => "short")])).toBe("short");
  await long;
});

test("calls that await do not keep others of the same thread waiting", async () => {
  const host = await start({ threads: 1 });
  const slow = host.json("later", 60_000).catch(() => {});
  expect(await Promise.all([1, 2, 3].map((n) => host.json("echo", n)))).toEqual([1, 2, 3]);
  void slow;
});

test("thousands of calls and large payloads each get their own answer", async () => {
  const host = await start();
  const numbers = Array.from({ length: 3000 }, (_, n) => n);
  expect(await Promise.all(numbers.map((n) => host.json("echo", n)))).toEqual(numbers);
  for (const size of [0, 1, 100_000, 20_000_000]) {
    expect(await host.pattern(size)).toMatchObject({ rc: 0 });
  }
  expect(await host.state()).toMatchObject({ unanswered: 0, refused: 0 });
});

test("what a handler throws is the error of its call, with the stack of its thread", async () => {
  const host = await start();
  await expect(host.json("thrown")).rejects.toMatchObject({
    message: "not in a thread",
    detail: expect.stringMatching(/^RangeError: not in a thread\n\s+at thrown .*pool\.mjs:\d+/),
  });
});

test("a cancelled call aborts its signal, and one that waits is never started", async () => {
  const host = await start({ threads: 1 });
  const call = host.call("aborted", "");
  await untilTrue(() => host.logs.some((line) => line.endsWith(" waits")));
  host.cancel(call);
  await untilTrue(() => host.stdout.includes("[notice] aborted"));

  const busy = host.json("computes", 300);
  const counted = host.call("counted", "");
  const another = host.call("counted", "");
  host.cancel(counted);
  host.cancel(another);
  await busy;
  expect(await host.json("counted")).toBe(1);
});

test("streams wait for their reader, and go on", async () => {
  const host = await start();
  const stream = host.stream("ticks", 20, 2000);
  await untilTrue(() => stream.chunks.length >= 2);
  const before = stream.chunks.length;
  expect(before).toBeLessThan(8);
  let read = 0;
  const reader = (async () => {
    while (read < 20) {
      await untilTrue(() => stream.chunks.length > read);
      host.credit(stream, (stream.chunks[read++]?.length ?? 0) / 2);
    }
  })();
  await stream.answer;
  await reader;
  expect(stream.chunks.length).toBe(20);
});

describe("a thread that ends", () => {
  test.each([
    ["exits", 7, /thread \d ended: process\.exit\(7\) was called/],
    ["uncaught", null, /thread \d ended: uncaught: out of the blue/],
    ["unhandled", null, /ended: unhandled promise rejection: nobody listens/],
  ])(
    "%s: its calls fail with the reason, the others go on, and it is replaced",
    async (method, value, reason) => {
      const host = await start();
      const pid = await host.pid;
      const slow = [host.json("later", 700), host.json("later", 700)].map((call) =>
        call.then(String, (error: Error) => error.message),
      );
      await expect(host.json(method, value)).rejects.toThrow(reason);
      const [first, second] = await Promise.all(slow);
      expect([first, second].filter((text) => reason.test(text ?? "")).length).toBe(1);
      expect([first, second].filter((text) => /^\d+$/.test(text ?? "")).length).toBe(1);
      await untilTrue(() => /thread \d was started again/.test(host.stderr));
      const threads = await Promise.all([host.json("computes", 300), host.json("computes", 300)]);
      expect(new Set(threads).size).toBe(2);
      expect(Math.max(...(threads as number[]))).toBe(3);
      expect(await host.pid).toBe(pid);
      expect(host.stderr).toMatch(/^\[error] .*thread \d/m);
    },
  );

  test("for want of memory", async () => {
    const host = await start({ nodeArgs: ["--max-old-space-size=64"] });
    await expect(host.json("fillsHeap")).rejects.toThrow(/thread \d ended: .*memory/);
    expect(await host.json("echo", 1)).toBe(1);
  });

  test("calls wait for its successor when it was the only one", async () => {
    const host = await start({ threads: 1 });
    const exits = host.json("exits", 1).catch((error: Error) => error.message);
    const next = host.json("echo", "next");
    expect(await exits).toMatch(/process\.exit\(1\)/);
    expect(await next).toBe("next");
  });

  test("and whose successor cannot be loaded: calls fail with the reason immediately", async () => {
    const module = join(temporaryFolder(), "main.mjs");
    writeFileSync(
      module,
      "export const exits = () => process.exit(1);\nexport const one = () => 1;\n",
    );
    const host = await Host.start(module, { threads: 1 });
    writeFileSync(module, "throw new Error('broken now');\n");
    await expect(host.json("exits")).rejects.toThrow(/process\.exit/);
    await untilTrue(() => host.stderr.includes("cannot be started again"));
    await expect(host.json("one")).rejects.toThrow(/all threads have ended: .*broken now/);
    // the reason is also reported while the next one is loaded
    writeFileSync(
      module,
      "await new Promise((done) => setTimeout(done, 500));\nexport const one = () => 2;\n",
    );
    const answers = new Set<unknown>();
    await untilTrue(async () => {
      answers.add(await host.json("one").catch((error: Error) => error.message));
      return answers.delete(2);
    });
    for (const answer of answers) expect(answer).toMatch(/broken now/);
  });
});

test("a module that no thread can load is reported once, with its stack", async () => {
  const module = join(temporaryFolder(), "broken.mjs");
  writeFileSync(module, "export const f = () => 1;\nthrow new TypeError('at load');\n");
  const host = new Host(module, { threads: 3 });
  expect(await host.started).toMatch(/broken\.mjs: at load$/);
  await host.gone;
  await untilTrue(() => host.stderr.includes("broken.mjs:2"));
  expect(host.stderr.match(/^\[error] /gm)).toHaveLength(1);
});

describe("when the queue is closed", () => {
  test("running and waiting calls get their responses", async () => {
    const host = await start();
    const calls = Array.from({ length: 8 }, () => host.json("computes", 60));
    await host.json("echo", 1).catch(() => {});
    host.close();
    expect((await Promise.all(calls)).length).toBe(8);
    await host.gone;
    expect(host.stderr).toBe("");
  });

  test("a thread that ends is replaced while calls wait for one", async () => {
    const host = await start({ threads: 1 });
    const computes = host.json("computes", 500);
    const exits = host.json("exits", 1).catch((error: Error) => error.message);
    const next = host.json("echo", "next");
    host.close();
    expect(await computes).toBe(1);
    expect(await exits).toMatch(/process\.exit\(1\)/);
    expect(await next).toBe("next");
    await host.gone;
  });

  test("a call without a response does not delay the exit", async () => {
    const host = await start();
    host.json("waits").catch(() => {});
    await host.json("echo", 1);
    host.close();
    await host.gone;
  });
});

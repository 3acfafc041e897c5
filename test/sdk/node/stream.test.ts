// Streams of a TypeScript runtime: generators whose values Lua reads in chunks, slow and vanishing
// readers, and what ends the process in the middle of a stream.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { content } from "../../support/lua.js";
import { type Nginx, startNginx, until, withNginx } from "../../support/nginx.js";
import { builtOpenresty, suites } from "../../support/openresty.js";
import { slowClient } from "../../support/slow-client.js";

const MODULE = `
import { setTimeout } from "node:timers/promises";
import { Readable } from "node:stream";

let yielded = 0, ended: string[] = [];
export const seen = () => ({ yielded, ended: ended.join(",") });
export const pid = () => process.pid;

export async function* count(n: number) {
  for (let i = 0; i < n; i++) { yielded++; yield { i }; }
}
export function* sync(n: number) { for (let i = 0; i < n; i++) yield i; }
export const readable = () => Readable.from(["a", "b"]);
export const web = () => new Blob(["web"]).stream().pipeThrough(new TextDecoderStream());
export async function* failing() { yield 1; yield 2; throw new TypeError("no luck"); }
export async function* unsendable() { yield 1; yield 2n; }
export async function* nothing() {}
export const plain = (x: unknown) => x;
export const raw = async function* (bytes: Buffer) { yield ""; yield bytes; yield Buffer.alloc(3_000_000, "x"); yield "grün"; };
export default raw;

export async function* big(size: number) {
  const piece = "x".repeat(size);
  for (;;) { yielded++; yield piece; }
}
export async function* careful(name: string) {
  try { for (;;) { yield name; await setTimeout(10); } } finally { ended.push(name); }
}
export async function* signalled(name: string, { signal }: { signal: AbortSignal }) {
  yield name;
  await setTimeout(60_000, undefined, { signal }).catch(() => ended.push(name + "!"));
}
export async function* slow(ms: number) { for (let i = 0; i < 5; i++) { yield i; await setTimeout(ms); } }
export async function* exits() { yield 1; await setTimeout(100); process.exit(3); }
`;

/** With `rt`, the runtime of the module above. */
function withRuntime(path: string, code: string): string {
  return content(
    path,
    `local rt = assert(nffi.load("node", { module = "streams.ts" }))
     local value = ngx.unescape_uri(ngx.var.arg_v or "null")
     value = tonumber(value) or value
     ${code}`,
  );
}

const SERVER = [
  withRuntime(
    "= /stream",
    `local stream = rt.streams[ngx.var.arg_m](rt.streams, value)
     for item in stream do
         ngx.print(type(item) == "table" and item.i or tostring(item), ";")
         if not ngx.flush(true) then return end
     end
     local message, code = stream:error()
     ngx.print(message and (message .. "|" .. code) or "end")`,
  ),
  withRuntime(
    "= /call",
    `ngx.print(require("cjson").encode(rt.methods[ngx.var.arg_m](rt.methods, value)))`,
  ),
  withRuntime("= /failed-call", `ngx.print(show(rt.methods[ngx.var.arg_m](rt.methods, value)))`),
  withRuntime("= /seen", `local seen = rt.methods:seen() ngx.print(seen.yielded, " ", seen.ended)`),
  withRuntime("= /pid", `ngx.print(rt.methods:pid())`),
  withRuntime("= /state", `ngx.print(rt:state().awaited, " ", rt:state().unanswered)`),
  withRuntime(
    "= /raw",
    `local sizes = {}
     for chunk in rt:stream("bytes") do sizes[#sizes + 1] = #chunk > 10 and #chunk or "'" .. chunk .. "'" end
     ngx.print(table.concat(sizes, " "))`,
  ),
  withRuntime(
    "= /order",
    `local n = 0
     for item in rt.streams:count(10000) do
         if item.i ~= n then ngx.print("chunk ", n, " is ", item.i, ";") end
         n = n + 1
     end
     ngx.print(n)`,
  ),
  withRuntime(
    "= /break",
    `for item in rt.streams:careful("broken off") do break end
     local stream = rt.streams:signalled("closed")
     ngx.print(stream:read())
     ngx.sleep(0.1) -- until it waits; returned at its yield, it would see no signal
     stream:close()
     collectgarbage() collectgarbage()`,
  ),
].join("\n");

const HTTP = "lua_check_client_abort on;";

describe.each(suites)("streams of a TypeScript runtime, %s", (suite) => {
  let nginx: Nginx;
  const options = async () => ({
    prefix: await builtOpenresty(suite),
    files: { "streams.ts": MODULE },
    http: HTTP,
    server: SERVER,
  });

  beforeAll(async () => {
    nginx = await startNginx(await options());
  });

  afterAll(async () => {
    await nginx?.stop({ signal: "SIGQUIT" });
  });

  const yielded = async () => Number.parseInt(await nginx.get("/seen"), 10);

  async function untilEnded(name: string): Promise<void> {
    await until(
      async () => (await nginx.get("/seen")).includes(name),
      10_000,
      () => `${name} has not ended`,
    );
    await until(
      async () => (await nginx.get("/state")) === "0 0",
      10_000,
      () => "a stream is still there",
    );
  }

  test("each value of a generator is a chunk, decoded by the codec", async () => {
    expect(await nginx.get("/stream?m=count&v=5")).toBe("0;1;2;3;4;end");
    expect(await nginx.get("/stream?m=sync&v=3")).toBe("0;1;2;end");
    expect(await nginx.get("/stream?m=readable")).toBe("a;b;end");
    expect(await nginx.get("/stream?m=web")).toBe("web;end");
    expect(await nginx.get("/stream?m=nothing")).toBe("end");
    expect(await nginx.get("/order")).toBe("10000");
  });

  test("bytes come as they are: none, few, and more than fit the shared memory", async () => {
    expect(await nginx.get("/raw")).toBe("'' 'bytes' 3000000 'grün'");
  });

  test("errors come after the chunks before them", async () => {
    expect(await nginx.get("/stream?m=failing")).toBe("1;2;no luck|runtime_error");
    expect(await nginx.get("/stream?m=unsendable")).toMatch(/^1;.*BigInt.*\|runtime_error$/);
    expect(await nginx.get("/stream?m=none")).toMatch(/^unknown method "none".*\|runtime_error$/);
  });

  test("a call of a generator gets a list, a stream of a plain function one chunk", async () => {
    expect(await nginx.get("/call?m=sync&v=4")).toBe("[0,1,2,3]");
    expect(await nginx.get("/call?m=count&v=2")).toBe('[{"i":0},{"i":1}]');
    expect(await nginx.get("/failed-call?m=failing")).toMatch(/^nil\|no luck\|runtime_error\|/);
    expect(await nginx.get("/stream?m=plain&v=7")).toBe("7;end");
  });

  test("a slow client stops the generator, and is then served", async () => {
    const before = await yielded();
    const client = slowClient(nginx.port, "/stream?m=big&v=65536");
    let last = -1;
    await until(
      async () => {
        const now = await yielded();
        const still = now === last && now > before;
        last = now;
        await new Promise((resolve) => setTimeout(resolve, 300));
        return still;
      },
      30_000,
      () => `it goes on: ${last - before}`,
    );
    expect(last - before).toBeLessThan(500);
    let bytes = 0;
    client.on("data", (data) => {
      bytes += data.length;
    });
    client.resume();
    await until(
      () => bytes > 100_000_000,
      30_000,
      () => `it does not go on: ${bytes} bytes`,
    );
    client.destroy();
    await until(
      async () => (await nginx.get("/state")) === "0 0",
      10_000,
      () => "the stream is still there",
    );
  });

  test("a client that goes runs the generator's finally", async () => {
    const signal = AbortSignal.timeout(200);
    await nginx.request("/stream?m=careful&v=gone", { signal }).catch(() => undefined);
    await untilEnded("gone");
  });

  test("so does a loop that is broken off; close aborts the signal", async () => {
    expect(await nginx.get("/break")).toBe("closed");
    await untilEnded("broken off");
    await untilEnded("closed!");
  });

  test("a process that is killed in the middle ends the stream with the reason", async () => {
    const pid = Number(await nginx.get("/pid"));
    const response = nginx.get("/stream?m=careful&v=x");
    await until(
      async () => (await nginx.get("/state")) !== "0 0",
      10_000,
      () => "it does not begin",
    );
    process.kill(pid, "SIGKILL");
    expect(await response).toMatch(
      /^(x;)*(method "\w+": )?the runtime "streams\.ts" is down: .*\|runtime_down$/,
    );
    await until(
      async () => (await nginx.get("/stream?m=sync&v=1")) === "0;end",
      10_000,
      () => "it does not come back",
    );
    expect(await nginx.get("/stream?m=exits")).toMatch(/^1;.*exit code 3.*\|runtime_down$/);
  });

  test("reload and quit let a stream end", async () => {
    await withNginx(await options(), async (own) => {
      await own.get("/pid");
      const slow = own.get("/stream?m=slow&v=300");
      await new Promise((resolve) => setTimeout(resolve, 200));
      await own.reload();
      expect(await slow).toBe("0;1;2;3;4;end");
      const last = own.get("/stream?m=slow&v=200");
      await until(
        async () => (await own.get("/state")) !== "0 0",
        10_000,
        () => "it does not begin",
      );
      await own.stop({ signal: "SIGQUIT" });
      expect(await last).toBe("0;1;2;3;4;end");
    });
  });

  test("a slow client keeps its stream over a reload", async () => {
    await withNginx(await options(), async (own) => {
      const client = slowClient(own.port, "/stream?m=count&v=3000");
      await until(
        async () => Number.parseInt(await own.get("/seen"), 10) > 0,
        10_000,
        () => "it does not begin",
      );
      await own.reload();
      let text = "";
      client.on("data", (data) => {
        text += data;
      });
      client.resume();
      await new Promise((resolve) => client.on("close", resolve));
      expect(text).toContain("2999;");
      expect(text).toMatch(/end\r\n0\r\n\r\n$/);
    });
  });
});

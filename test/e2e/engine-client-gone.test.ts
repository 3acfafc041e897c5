// A stream ends when its client disconnects, without lua_check_client_abort and with a loop that
// ignores the results of ngx.print and ngx.flush: a failed write, a reset connection, a reset
// HTTP/2 stream. A client that only closes its sending side is still served.
import { readFileSync } from "node:fs";
import { connect as connectHttp2, constants } from "node:http2";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort } from "../../src/io/port.js";
import { content } from "../support/lua.js";
import { type Nginx, startNginx, startNginxForTest, until } from "../support/nginx.js";
import { builtOpenresty, isOfBookworm, suites } from "../support/openresty.js";

const CERTIFICATE = readFileSync(new URL("../fixtures/localhost.pem", import.meta.url), "utf8");

const MODULE = `
export async function* endless(size) {
  const chunk = "x".repeat(size);
  for (;;) yield chunk;
}
export async function large() {
  await new Promise((done) => setTimeout(done, 300));
  return "x".repeat(1_000_000);
}
export async function* silent(_, { signal }) {
  yield "begins";
  await new Promise((done) => signal.addEventListener("abort", done));
}
`;

/** `loop(stream)` is the loop of the README; `done(...)` logs how a handler ended. */
const LUA = `
local echo = assert(nffi.load("@ECHO@", { config = "8" }))
local function loop(stream)
    for chunk in stream do
        ngx.print(chunk)
        ngx.flush(true)
    end
    return stream
end
local function done(...) ngx.log(ngx.WARN, "ended ", ngx.var.arg_name, ": ", show(...)) end
local endless = function() return echo:stream("1000000000 65536", { method = "count" }) end
-- writes one chunk, then nothing for a minute
local silent = function() return echo:stream("60000", { method = "sleep" }) end
`;

const location = (path: string, code: string) => content(`= ${path}`, LUA + code);

const SERVER = [
  location("/counted", `ngx.print(echo:call("", { method = "counted" }))`),
  location("/state", `ngx.print(echo:state().awaited)`),
  location(
    "/metrics",
    `for _, runtime in ipairs(nffi.metrics().runtimes) do
       if runtime.name:find("echo") then
           local errors = 0
           for _, n in pairs(runtime.errors) do errors = errors + n end
           ngx.print(runtime.cancelled, " ", errors, " ", runtime.timeouts)
       end
   end`,
  ),
  location("/hello", `ngx.print("hello")`),
  location("/loop", `done(loop(endless()):error())`),
  location(
    "/node",
    `local node = assert(nffi.load("node", { module = "module.mjs" }))
     done(loop(node.streams:endless(65536)):error())`,
  ),
  location(
    "/node-silent",
    `local node = assert(nffi.load("node", { module = "module.mjs" }))
     done(loop(node.streams:silent()):error())`,
  ),
  location(
    "/unread",
    `local stream = endless()
     ngx.print(stream:read()) ngx.flush(true)
     ngx.sleep(3)
     done(stream:read())`,
  ),
  location("/count", `local n = 0 for chunk in endless() do n = n + 1 end done(n > 10)`),
  location(
    "/threads",
    `
     local a = ngx.thread.spawn(function() return loop(endless()):error() end)
     local b = ngx.thread.spawn(function() return silent():read() end)
     local c = ngx.thread.spawn(function() return coroutine.wrap(function() return silent():read() end)() end)
     local function why(thread, first) return show(select(first, ngx.thread.wait(thread))) end
     done(why(a, 2), why(b, 3), why(c, 3))`,
  ),
  location("/capture", `ngx.location.capture("/count?name=" .. ngx.var.arg_name .. "-inner")`),
  location(
    "/raw",
    `local socket = assert(ngx.req.socket(true))
     local stream = endless()
     for chunk in stream do socket:send(chunk) end
     done(stream:error())`,
  ),
  location(
    "/background",
    `ngx.print("x") ngx.eof()
     local n, stream = 0, echo:stream("30", { method = "count" })
     for chunk in stream do n = n + 1 ngx.sleep(0.1) end
     done(n, stream:error())`,
  ),
  location(
    "/timer",
    `ngx.timer.at(0, function()
       local n = 0
       for chunk in echo:stream("100", { method = "count" }) do n = n + 1 end
       ngx.log(ngx.WARN, "ended timer: ", n)
     end)`,
  ),
  location("/finite", `loop(echo:stream("100 65536", { method = "count" })) done(true)`),
  ...["static", "lua"].map((page) =>
    location(
      `/body-${page}`,
      `ngx.thread.spawn(function()
         echo:call("300", { method = "sleep" })
         ngx.log(ngx.WARN, "resumed in /body-${page}")
       end)
       ngx.log(ngx.WARN, "reads /body-${page}")
       ngx.req.read_body()`,
    ).replace(
      "content_by",
      `client_max_body_size 10; error_page 413 /too-large-${page}; content_by`,
    ),
  ),
  // another VM than that of its error page, with a garbage collection in both
  location(
    "/body-uncached",
    `local node = assert(nffi.load("node", { module = "module.mjs" }))
     ngx.timer.at(0, function()
       for _ = 1, 25 do ngx.sleep(0.05) collectgarbage() end
       ngx.log(ngx.WARN, "collected in /body-uncached")
     end)
     ngx.thread.spawn(function()
       node.methods:large()
       ngx.log(ngx.WARN, "resumed in /body-uncached")
     end)
     ngx.log(ngx.WARN, "reads /body-uncached")
     ngx.req.read_body()`,
  ).replace(
    "content_by",
    "lua_code_cache off; client_max_body_size 10; error_page 413 /too-large-uncached; content_by",
  ),
  location(
    "/too-large-uncached",
    `for _ = 1, 12 do ngx.sleep(0.1) collectgarbage() end
     ngx.print("too large")`,
  ).replace("content_by", "lua_code_cache off; content_by"),
  location("/too-large-lua", `ngx.sleep(0.6) ngx.print(echo:call("too large"))`),
  'location = /too-large-static { return 200 "too large"; }',
].join("\n");

const GONE = "the client is gone|client_gone";

function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
}

/** Sends a request and resolves when the first bytes of the body have come; reads no more. */
async function begin(socket: Socket, path: string): Promise<Socket> {
  socket.on("error", () => {});
  socket.write(get(path));
  await new Promise((resolve) => socket.once("readable", resolve));
  socket.read(10);
  return socket;
}

describe.each(suites)("a stream of a disconnected client, %s", (suite) => {
  let nginx: Nginx;
  let start: (starter: typeof startNginx) => Promise<Nginx>;
  let tls: number;
  let h2c: number;

  beforeAll(async () => {
    const prefix = await builtOpenresty(suite);
    const server = SERVER.replaceAll("@ECHO@", join(prefix, "nffi/lib/libnffi_echo.so"));
    const files = { "module.mjs": MODULE, "localhost.pem": CERTIFICATE };
    // since 1.25.1 `http2 on` also serves a plain port, before that `listen ... http2` does
    const old = isOfBookworm(suite) ? "http2" : "";
    start = async (starter) => {
      tls = await freePort();
      h2c = await freePort();
      return await starter({
        prefix,
        files,
        http: `server {
            listen 127.0.0.1:${tls} ssl;
            ssl_certificate @DIR@/localhost.pem;
            ssl_certificate_key @DIR@/localhost.pem;
            ${server}
          }
          server { listen 127.0.0.1:${h2c} ${old}; ${old ? "" : "http2 on;"} ${server} }`,
        server: `listen unix:@DIR@/nginx.sock; ${server}`,
      });
    };
    nginx = await start(startNginx);
  });

  afterAll(async () => {
    await nginx?.stop({ signal: "SIGQUIT" });
  });

  const tcp = () => createConnection({ port: nginx.port, host: "127.0.0.1" });

  /** The handler has ended, and the runtime was notified: no stream is being written. */
  async function isOver(name: string, how = GONE, limitMs = 5_000): Promise<void> {
    await until(
      () => nginx.errorLog().includes(`ended ${name}: ${how}`),
      limitMs,
      () => `the handler of ${name} goes on:\n${nginx.errorLog().slice(-3000)}`,
    );
    await until(
      async () => (await nginx.get("/counted")).endsWith(" 0"),
      5_000,
      () => `the runtime still writes for ${name}`,
    );
  }

  describe.each(["loop", "node"])("in the loop of the README, location /%s", (location) => {
    test("whose connection is reset, while other requests are served", async () => {
      const name = `${location}-reset`;
      const client = await begin(tcp(), `/${location}?name=${name}`);
      client.resetAndDestroy();
      const times = [];
      for (let n = 0; n < 10; n++) {
        const before = Date.now();
        expect(await nginx.get("/hello")).toBe("hello");
        times.push(Date.now() - before);
      }
      expect(Math.max(...times)).toBeLessThan(1_000);
      await isOver(name);
    });

    test("which closes its socket", async () => {
      const name = `${location}-close`;
      (await begin(tcp(), `/${location}?name=${name}`)).destroy();
      await isOver(name);
    });
  });

  test("which reads everything until it closes", async () => {
    const client = await begin(tcp(), "/loop?name=reads");
    client.resume();
    await new Promise((resolve) => setTimeout(resolve, 200));
    client.destroy();
    await isOver("reads");
  });

  test("with TLS", async () => {
    for (const [name, end] of [
      ["tls-reset", (socket: Socket) => socket.resetAndDestroy()],
      ["tls-close", (socket: Socket) => socket.destroy()],
    ] as const) {
      const raw = createConnection({ port: tls, host: "127.0.0.1" });
      const client = connectTls({ socket: raw, rejectUnauthorized: false });
      await begin(client, `/loop?name=${name}`);
      client.on("close", () => {});
      end(raw);
      await isOver(name);
    }
  });

  test("on a socket of the Unix domain", async () => {
    const client = await begin(createConnection(join(nginx.dir, "nginx.sock")), "/loop?name=unix");
    client.destroy();
    await isOver("unix");
    const silent = await begin(
      createConnection(join(nginx.dir, "nginx.sock")),
      "/node-silent?name=unix-silent",
    );
    silent.destroy();
    await isOver("unix-silent");
  });

  test("in HTTP/2: the stream is reset, or the connection closed", async () => {
    const session = connectHttp2(`http://127.0.0.1:${h2c}`);
    session.on("error", () => {});
    const ask = async (path: string) => {
      const stream = session.request({ ":path": path });
      stream.on("error", () => {});
      await new Promise((resolve) => stream.once("readable", resolve));
      stream.read(10);
      return stream;
    };
    const first = await ask("/loop?name=h2-reset");
    const second = await ask("/node-silent?name=h2-silent");
    first.close(constants.NGHTTP2_CANCEL);
    await isOver("h2-reset");
    second.close(constants.NGHTTP2_CANCEL);
    await isOver("h2-silent");
    await ask("/loop?name=h2-close");
    session.destroy();
    await isOver("h2-close");
  });

  // nginx clears ngx_lua's context of the request, and ngx_lua is not notified
  test.each(["static", "lua", "uncached"])(
    "whose body becomes too large during a call gets the error page (%s) and nothing else",
    async (page) => {
      const client = tcp();
      client.on("error", () => {});
      let text = "";
      client.setEncoding("utf8").on("data", (data) => {
        text += data;
      });
      client.write(`POST /body-${page} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
      client.write("5\r\nabcde\r\n");
      await nginx.waitForLog(`reads /body-${page}`);
      client.write(`20\r\n${"x".repeat(32)}\r\n`);
      await until(
        () => text.includes("too large"),
        5_000,
        () => text,
      );
      await new Promise((resolve) => setTimeout(resolve, 500));
      expect(await nginx.get("/hello")).toBe("hello");
      expect(nginx.errorLog()).not.toMatch(/resumed in |exited on signal/);
      client.destroy();
    },
  );

  test.each(["node-silent", "unread", "count", "capture"])(
    "is found within a second or so where nothing is written: /%s",
    async (location) => {
      const name = `quiet-${location}`;
      const client = tcp();
      client.on("error", () => {});
      client.write(get(`/${location}?name=${name}`));
      await new Promise((resolve) => setTimeout(resolve, 300));
      client.resetAndDestroy();
      await isOver(
        location === "capture" ? `${name}-inner` : name,
        location === "unread"
          ? `nil|${GONE}`
          : location === "count" || location === "capture"
            ? "true"
            : GONE,
      );
    },
  );

  test("in light threads and coroutines, some of which wait", async () => {
    (await begin(tcp(), "/threads?name=threads")).resetAndDestroy();
    await isOver("threads", [GONE, GONE, GONE].join("|nil|"));
  });

  test("with a raw socket, which ngx.req.socket(true) gives", async () => {
    (await begin(tcp(), "/raw?name=raw")).resetAndDestroy();
    await isOver("raw");
  });

  test("in the second request of a connection", async () => {
    const client = tcp();
    client.on("error", () => {});
    client.write(get("/hello"));
    await new Promise((resolve) => client.once("data", resolve));
    client.pause();
    (await begin(client, "/loop?name=second")).resetAndDestroy();
    await isOver("second");
  });

  test("is counted as cancelled, not as an error", async () => {
    const metric = async () => (await nginx.get("/metrics")).split(" ").map(Number);
    const [cancelled = 0, ...errors] = await metric();
    (await begin(tcp(), "/loop?name=counted")).resetAndDestroy();
    await isOver("counted");
    expect(await metric()).toEqual([cancelled + 1, ...errors]);
  });

  test("is not one that ends its sending side only", async () => {
    const client = createConnection({ port: nginx.port, host: "127.0.0.1", allowHalfOpen: true });
    client.end(get("/finite?name=half").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    let bytes = 0;
    for await (const data of client) bytes += data.length;
    expect(bytes).toBeGreaterThan(100 * 65_536);
    await isOver("half", "true");
  });

  test("nor one that ngx.eof() has answered, nor that of a timer", async () => {
    const client = await begin(tcp(), "/background?name=background");
    client.resetAndDestroy();
    await isOver("background", "30");
    await nginx.get("/timer");
    await nginx.waitForLog("ended timer: 100");
  });

  test("keeps no worker that quits", async () => {
    const leaving = await start(startNginxForTest);
    const client = createConnection({ port: leaving.port, host: "127.0.0.1" });
    (await begin(client, "/loop?name=quit")).resetAndDestroy();
    const before = Date.now();
    await leaving.stop({ signal: "SIGQUIT" });
    expect(Date.now() - before).toBeLessThan(5_000);
  });
});

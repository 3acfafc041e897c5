// examples/ts-http2 against a real HTTP/2 server with TLS that counts its sessions and streams.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Session,
} from "node:http2";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { freePort } from "../../../src/io/port.js";
import { makeCertificates } from "../../support/certificates.js";
import { failureLua, packagePath } from "../../support/failure-lua.js";
import { type Nginx, startNginx, until } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { temporaryFolderOfAll } from "../../support/temporary.js";
import { type Example, exampleInTypeScript } from "./example.js";

const folder = temporaryFolderOfAll();
const certificates = makeCertificates(folder);
const CHUNK = Buffer.alloc(16 * 1024, "x");

let example: Example | undefined;
let nginx: Nginx;
let port: number;
let server: TestServer;

/** /quote?of=X answers X, of=slow never, of=missing 404; /file?size=N sends N bytes. */
class TestServer {
  sessions = 0;
  /** Codes of the streams that were reset. */
  readonly resets: number[] = [];
  waiting = 0;
  sent = 0;
  readonly #open = new Set<ServerHttp2Session>();
  readonly #server: Http2SecureServer;

  private constructor() {
    this.#server = createSecureServer({ key: certificates.key, cert: certificates.cert });
    this.#server.on("session", (session) => {
      this.sessions += 1;
      this.#open.add(session);
      session.on("close", () => this.#open.delete(session));
      session.on("error", () => {});
    });
    this.#server.on("stream", async (stream, headers) => {
      stream.on("error", () => {});
      stream.on("close", () => {
        if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) this.resets.push(stream.rstCode);
      });
      const url = new URL(headers[":path"] ?? "/", "https://127.0.0.1");
      if (url.searchParams.get("of") === "slow") {
        this.waiting += 1;
        return;
      }
      stream.setMaxListeners(0); // once() of both, for each chunk
      const isMissing = url.search.includes("missing");
      stream.respond({ ":status": isMissing ? 404 : 200 });
      if (url.pathname !== "/file") return void stream.end(url.searchParams.get("of") ?? "");
      const size = Number(url.searchParams.get("size"));
      for (let left = size; left > 0 && !stream.closed; left -= CHUNK.length) {
        this.sent += Math.min(left, CHUNK.length);
        const goesOn = stream.write(CHUNK.subarray(0, left));
        if (!goesOn) await Promise.race([once(stream, "drain"), once(stream, "close")]);
      }
      stream.end();
    });
  }

  static async start(): Promise<TestServer> {
    const started = new TestServer();
    started.#server.listen(port, "127.0.0.1");
    await once(started.#server, "listening");
    return started;
  }

  /** Closes the server together with its sessions. */
  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const session of this.#open) session.destroy();
    await closed;
  }
}

beforeAll(async () => {
  const prefix = await builtOpenresty();
  port = await freePort();
  server = await TestServer.start();
  example = exampleInTypeScript("examples/ts-http2");
  const locations = example.nginx.join("\n").replaceAll("127.0.0.1:8443", `127.0.0.1:${port}`);
  const authority = readFileSync(certificates.caFile, "utf8");
  nginx = await startNginx({
    prefix,
    files: failureLua,
    http: `${packagePath} init_by_lua_block { ca_pem = [[${authority}]] }`,
    server: locations.replaceAll(
      "timeout = 5000",
      "timeout = tonumber(ngx.var.arg_timeout) or 5000",
    ),
  });
  await nginx.get("/quote?of=first");
});

beforeEach(() => {
  server.resets.length = 0;
  server.waiting = 0;
  server.sent = 0;
});

afterAll(async () => {
  await nginx?.stop();
  await server?.stop();
  example?.remove();
});

test("200 calls, 50 at a time, are streams of one session", async () => {
  const words = Array.from({ length: 200 }, (_, i) => `word${i}`);
  const answers: string[] = [];
  const next = words.values();
  const ask = async () => {
    for (const word of next) answers.push(await nginx.get(`/quote?of=${word}`));
  };
  await Promise.all(Array.from({ length: 50 }, ask));
  expect(answers.sort()).toEqual(words.sort());
  expect(server.sessions).toBe(1);
});

test("what the server refuses arrives with its status", async () => {
  expect((await nginx.request("/quote?of=missing")).status).toBe(404);
  expect((await nginx.request("/file?size=0&of=missing")).status).toBe(502);
  await nginx.waitForLog("the server answered 404");
});

test("a server that is down is an error, and after its return there is a new session", async () => {
  await server.stop();
  const failed = await nginx.request("/quote?of=x");
  expect([failed.status, failed.body]).toEqual([502, expect.not.stringContaining("ECONN")]);
  await nginx.waitForLog(/ECONNREFUSED.* \(runtime_error\).*"GET \/quote\?of=x/);
  server = await TestServer.start();
  expect(await nginx.get("/quote?of=back")).toBe("back");
  expect(await nginx.get("/quote?of=again")).toBe("again");
  expect(server.sessions).toBe(1);
});

test("a server that was restarted between two calls is not noticed", async () => {
  await server.stop();
  server = await TestServer.start();
  expect(await nginx.get("/quote?of=same")).toBe("same");
  expect(server.sessions).toBe(1);
});

test("a timeout in Lua resets the stream at the server; the session stays", async () => {
  const late = await nginx.request("/quote?of=slow&timeout=300");
  expect(late.status).toBe(504);
  await until(
    () => server.resets.length === 1,
    5000,
    () => "no stream was reset",
  );
  expect(server.resets).toEqual([constants.NGHTTP2_CANCEL]);
  expect(await nginx.get("/quote?of=next")).toBe("next");
  expect(server.sessions).toBe(1);
});

test("a client that goes resets its streams at the server", async () => {
  const gone = new AbortController();
  const asked = [1, 2, 3].map(() => nginx.request("/quote?of=slow", { signal: gone.signal }));
  const ended = Promise.allSettled(asked);
  await until(
    () => server.waiting === 3,
    5000,
    () => `${server.waiting} wait`,
  );
  gone.abort();
  await ended;
  await until(
    () => server.resets.length === 3,
    5000,
    () => `${server.resets.length} were reset`,
  );
  expect(new Set(server.resets)).toEqual(new Set([constants.NGHTTP2_CANCEL]));
});

test("a body comes through in chunks, whole", async () => {
  const size = 5_000_000;
  const response = await fetch(`${nginx.url}/file?size=${size}`);
  let received = 0;
  for await (const part of response.body ?? []) received += part.length;
  expect(received).toBe(size);
});

test("a client that reads nothing stops the server, and ends its stream when it goes", async () => {
  const size = 500_000_000;
  const gone = new AbortController();
  const response = await fetch(`${nginx.url}/file?size=${size}`, { signal: gone.signal });
  expect(response.status).toBe(200);
  let before = -1;
  await until(
    async () => {
      const stands = server.sent === before;
      before = server.sent;
      await setTimeout(300);
      return stands && server.sent > 0;
    },
    20_000,
    () => "the server goes on sending",
  );
  expect(server.sent).toBeLessThan(size / 5);
  gone.abort();
  await until(
    () => server.resets.length === 1,
    5000,
    () => "its stream goes on",
  );
  expect(server.sessions).toBe(1);
});

// examples/go-nats against a real NATS server, as its README describes: publish, request, watch, a
// client that disconnects, and a server that restarts. The test implements the protocol itself.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { freePort } from "../../../src/io/port.js";
import { codeBlocks } from "../../support/code-blocks.js";
import { failureLua, withPackagePath } from "../../support/failure-lua.js";
import { type Nginx, startNginx, until } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { buildGoRuntime, type GoRuntime } from "./go-runtime.js";

let built: GoRuntime;
let nginx: Nginx;
let server: ChildProcess | undefined;
let port: number;

async function startServer(): Promise<void> {
  const args = ["--addr", "127.0.0.1", "--port", String(port)];
  // Debian has it where only root looks
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
  server = spawn("nats-server", args, { env, stdio: "ignore" });
  const reachable = async () => {
    const socket = connect(port, "127.0.0.1");
    const up = await Promise.race([
      once(socket, "connect").then(() => true),
      once(socket, "error").then(() => false),
    ]).catch(() => false);
    socket.destroy();
    return up;
  };
  await until(reachable, 10_000, () => "nats-server does not listen");
}

async function stopServer(): Promise<void> {
  if (!server || server.exitCode !== null) return;
  const ended = once(server, "exit");
  server.kill("SIGTERM");
  await ended;
}

/** A separate client: https://docs.nats.io/reference/reference-protocols/nats-protocol */
class Client {
  readonly #socket: Socket;
  received = "";

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8").on("data", (text: string) => {
      this.received += text;
      for (const [, subject, reply, size, data] of text.matchAll(
        /MSG (\S+) \S+ (\S+) (\d+)\r\n(.*)\r\n/g,
      )) {
        if (subject === "upper" && reply && data) {
          const answer = `${data.toUpperCase().slice(0, Number(size))}`;
          this.#write(`PUB ${reply} ${answer.length}\r\n${answer}`);
        }
      }
    });
  }

  static async connect(): Promise<Client> {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    const client = new Client(socket);
    client.#write('CONNECT {"verbose":false}');
    return client;
  }

  /** One line of the protocol, known to the server when it resolves. */
  async send(line: string): Promise<void> {
    const before = this.received.split("PONG").length;
    this.#write(`${line}\r\nPING`);
    await until(
      () => this.received.split("PONG").length > before,
      5000,
      () => this.received,
    );
  }

  #write(line: string): void {
    this.#socket.write(`${line}\r\n`);
  }

  end(): void {
    this.#socket.destroy();
  }
}

beforeAll(async () => {
  const prefix = await builtOpenresty();
  built = buildGoRuntime("examples/go-nats", prefix);
  port = await freePort();
  await startServer();
  const blocks = codeBlocks("examples/go-nats/README.md", "nginx");
  const [http = "", locations = ""] = blocks.map((code) =>
    code
      .replace("/path/to/examples/go-nats/libgo_nats.so", built.library)
      .replace("127.0.0.1:4222", `127.0.0.1:${port}`),
  );
  nginx = await startNginx({
    prefix,
    files: failureLua,
    http: `lua_check_client_abort on; ${withPackagePath(http)}`,
    server: `${locations}
      location = /state { content_by_lua_block { ngx.print(bus():state().unanswered) } }`,
  });
});

beforeEach(async () => {
  if (server?.exitCode !== null) await startServer();
});

afterAll(async () => {
  await nginx?.stop();
  await stopServer();
  built?.remove();
});

test("what Lua publishes arrives", async () => {
  const client = await Client.connect();
  await client.send("SUB news 1");
  expect(await nginx.get("/publish?subject=news&data=hello")).toBe("published\n");
  await until(
    () => client.received.includes('MSG news 1 7\r\n"hello"\r\n'),
    5000,
    () => client.received,
  );
  client.end();
});

test("a request gets the reply of a responder, or an error if there is none", async () => {
  const client = await Client.connect();
  await client.send("SUB upper 1");
  expect(await nginx.get("/request?subject=upper&data=quiet")).toBe("QUIET\n");
  client.end();
  await until(
    async () => (await nginx.request("/request?subject=upper&data=x")).status === 502,
    5000,
    () => "somebody answers",
  );
  const nobody = await nginx.request("/request?subject=upper&data=x");
  expect(nobody.body).not.toContain("responders");
  await nginx.waitForLog(
    /nats: no responders available for request \(runtime_error\).*"GET \/request/,
  );
});

test("100 concurrent requests get their own replies over one connection", async () => {
  const client = await Client.connect();
  await client.send("SUB upper 1");
  const words = Array.from({ length: 100 }, (_, i) => `word${i}`);
  const replies = await Promise.all(
    words.map((word) => nginx.get(`/request?subject=upper&data=${word}`)),
  );
  expect(replies).toEqual(words.map((word) => `${word.toUpperCase()}\n`));
  client.end();
});

const waiting = async (count: number) =>
  until(
    async () => (await nginx.get("/state")) === String(count),
    10_000,
    () => nginx.errorLog(),
  );

/** The lines of a watch, as they come. */
async function* watch(query: string, signal: AbortSignal): AsyncGenerator<Record<string, unknown>> {
  const response = await fetch(`${nginx.url}/watch?${query}`, { signal });
  let text = "";
  for await (const part of response.body ?? []) {
    text += Buffer.from(part).toString();
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line);
  }
}

test("a watch streams the messages of its subject, and ends with its client", async () => {
  const client = await Client.connect();
  const gone = new AbortController();
  const messages = watch("subject=prices.*", gone.signal);
  const next = async () => (await messages.next()).value;
  expect(await next()).toEqual({ subject: "prices.*" });
  await client.send('PUB prices.tea 12\r\n{"euro":4.5}');
  expect(await next()).toEqual({ subject: "prices.tea", data: { euro: 4.5 } });
  await client.send("PUB prices.x 9\r\nno JSON..");
  expect(await next()).toEqual({ subject: "prices.x", data: "no JSON.." });
  gone.abort();
  await waiting(0);
  client.end();
});

test("a watch of a number of messages ends after them", async () => {
  const client = await Client.connect();
  const messages = watch("subject=two&count=2", new AbortController().signal);
  expect((await messages.next()).value).toEqual({ subject: "two" });
  for (const n of [1, 2]) await client.send(`PUB two 1\r\n${n}`);
  const rest = [];
  for await (const { data } of messages) rest.push(data);
  expect(rest).toEqual([1, 2]);
  client.end();
});

test("a client that goes ends its watch", async () => {
  const gone = new AbortController();
  const path = "/watch?subject=silence&count=1";
  const watch = nginx.request(path, { signal: gone.signal });
  watch.catch(() => {});
  await waiting(1);
  gone.abort();
  await waiting(0);
});

test("without a server calls fail with the reason; when it comes back they work again", async () => {
  expect(await nginx.get("/publish?subject=news&data=1")).toBe("published\n");
  await stopServer();
  const failed = await nginx.request("/publish?subject=news&data=2");
  expect(failed.status).toBe(504);
  await startServer();
  await until(
    async () => (await nginx.request("/publish?subject=news&data=3")).status === 200,
    15_000,
    () => nginx.errorLog(),
  );
});

test("go vet finds nothing in the example", () => {
  execFileSync("go", ["vet", "."], { cwd: built.folder, stdio: "pipe" });
});

// examples/java-kafka as its README describes, against a real Kafka: records are sent and read by a
// group, whose members share partitions and commit offsets; a broker restarts.
import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { repository } from "../../support/cli.js";
import { codeBlocks } from "../../support/code-blocks.js";
import { failureLua, withPackagePath } from "../../support/failure-lua.js";
import { content } from "../../support/lua.js";
import { type Nginx, startNginx, until } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { slowClient } from "../../support/slow-client.js";
import { Kafka } from "./kafka.js";

const EXAMPLE = "examples/java-kafka";
const LARGE = "v".repeat(500_000);

let folder: string;
let kafka: Kafka;
let prefix: string;

beforeAll(async () => {
  prefix = await builtOpenresty();
  kafka = await Kafka.start();
  folder = mkdtempSync(join(tmpdir(), "nffi-kafka-"));
  chmodSync(folder, 0o755); // the worker may be another user
  cpSync(join(repository, EXAMPLE), folder, {
    recursive: true,
    filter: (file) => basename(file) !== "target",
  });
  execFileSync("mvn", ["-q", "-B", "package", `-Dnffi.prefix=${prefix}`], {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
  });
});

afterAll(async () => {
  await kafka?.remove();
  rmSync(folder, { recursive: true, force: true });
});

interface Sent {
  readonly partition: number;
  readonly offset: number;
}

interface KafkaRecord extends Sent {
  readonly key: string;
  readonly value: string;
}

/** A member of a group: the lines of /records, as they come. */
class Reader {
  readonly records: KafkaRecord[] = [];
  readonly #request;
  readonly closed: Promise<unknown>;

  constructor(nginx: Nginx, topic: string, group: string) {
    this.#request = request(`${nginx.url}/records?topic=${topic}&group=${group}`, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        const lines = (text + part).split("\n");
        text = lines.pop() ?? "";
        this.records.push(...lines.map((line) => JSON.parse(line)));
      });
      response.on("error", () => {});
    });
    this.closed = new Promise((done) => this.#request.on("close", done));
    this.#request.on("error", () => {}).end();
  }

  get values(): string[] {
    return this.records.map(({ value }) => value).sort();
  }

  get partitions(): number[] {
    return [...new Set(this.records.map(({ partition }) => partition))].sort();
  }

  leave(): Promise<unknown> {
    this.#request.destroy();
    return this.closed;
  }
}

describe.each(["process", "worker"])("in the %s", (host) => {
  let nginx: Nginx;

  beforeAll(async () => {
    const [http = "", server = ""] = codeBlocks(`${EXAMPLE}/README.md`, "nginx").map((code) =>
      code
        .replace(`/path/to/${EXAMPLE}`, folder)
        .replace("127.0.0.1:9092", `127.0.0.1:${kafka.port}`)
        .replace("jvm_args", `host = "${host}", jvm_args`),
    );
    const numbered = content(
      "/numbered",
      `ngx.print((select(2, kafka().methods:send({ topic = "t", key = 7, value = "v" }))))`,
    );
    nginx = await startNginx({
      ...{ prefix, files: failureLua, http: withPackagePath(http) },
      server: `${server} ${numbered}`,
    });
  });

  afterAll(() => nginx?.stop());

  async function send(topic: string, key: string, value: string): Promise<Sent> {
    const response = await nginx.request(`/send?topic=${topic}&key=${key}`, { body: value });
    expect(response.status, response.body + nginx.errorLog()).toBe(200);
    return JSON.parse(response.body);
  }

  const described =
    (...readers: Reader[]) =>
    () =>
      `${readers.map(({ values }) => values).join(" | ")}\n${nginx.errorLog()}`;

  async function waitFor(reader: Reader, count: number): Promise<void> {
    await until(() => reader.records.length >= count, 30_000, described(reader));
  }

  test("a record that was sent is read with its place, by each group", async () => {
    const topic = `news-${host}`;
    const sent = await send(topic, "k", "first");
    expect(sent).toEqual({ partition: expect.any(Number), offset: 0 });
    for (const group of [`one-${host}`, `two-${host}`]) {
      const reader = new Reader(nginx, topic, group);
      await waitFor(reader, 1);
      expect(reader.records).toEqual([{ ...sent, key: "k", value: "first" }]);
      await reader.leave();
    }
  });

  test("hundreds of records are in flight together", async () => {
    const numbers = Array.from({ length: 300 }, (_, i) => i);
    const sent = await Promise.all(numbers.map((i) => send(`many-${host}`, `k${i}`, `v${i}`)));
    expect(new Set(sent.map(({ partition, offset }) => `${partition}/${offset}`)).size).toBe(300);
    const reader = new Reader(nginx, `many-${host}`, `many-${host}`);
    await waitFor(reader, 300);
    expect(reader.values).toEqual(numbers.map((i) => `v${i}`).sort());
    await reader.leave();
  });

  test("members of a group share the partitions; who stays takes over what another leaves", async () => {
    const topic = `shared-${host}`;
    let number = 0;
    const sendSome = async () => {
      const keys = Array.from({ length: 20 }, () => `k${number++}`);
      await Promise.all(keys.map((key) => send(topic, key, key)));
    };
    await sendSome();
    const one = new Reader(nginx, topic, topic);
    await waitFor(one, 20);
    expect(one.partitions).toEqual([0, 1]);

    const two = new Reader(nginx, topic, topic);
    await until(
      async () => {
        await sendSome();
        return two.records.length > 0;
      },
      30_000,
      described(one, two),
    );
    await until(
      () => one.records.length + two.records.length >= number,
      30_000,
      described(one, two),
    );
    expect(two.partitions).toHaveLength(1);

    const before = two.records.length;
    await one.leave();
    await until(
      async () => {
        await sendSome();
        return new Set(two.records.slice(before).map(({ partition }) => partition)).size === 2;
      },
      30_000,
      described(two),
    );
    await two.leave();
  });

  test("a group goes on where it was, also after a reload of nginx", async () => {
    const topic = `kept-${host}`;
    await send(topic, "k", "before");
    const reader = new Reader(nginx, topic, topic);
    await waitFor(reader, 1);
    await reader.leave();
    await nginx.reload();
    await send(topic, "k", "after");
    const later = new Reader(nginx, topic, topic);
    await waitFor(later, 1);
    expect(later.values).toEqual(["after"]);
    await later.leave();
  });

  test("an invalid request is an error", async () => {
    const response = await nginx.request("/send?key=k", { body: "x" });
    expect([response.status, response.body]).toEqual([502, expect.not.stringContaining("topic")]);
    await nginx.waitForLog(
      /IllegalArgumentException: topic must be a string, got null \(runtime_e/,
    );
    expect(await nginx.get("/numbered")).toBe(
      "java.lang.IllegalArgumentException: key must be a string, got 7",
    );
  });

  test("a large value is whole", async () => {
    const topic = `large-${host}`;
    await send(topic, "k", LARGE);
    const reader = new Reader(nginx, topic, topic);
    await waitFor(reader, 1);
    expect(reader.values[0]?.length).toBe(LARGE.length);
    await reader.leave();
  });

  test("what a slow client was not given stays for the next of its group", async () => {
    const topic = `slow-${host}`;
    const last = new Map<number, number>();
    for (let i = 0; i < 60; i++) {
      const { partition, offset } = await send(topic, `k${i}`, LARGE);
      last.set(partition, offset);
    }
    const port = Number(new URL(nginx.url).port);
    const slow = slowClient(port, `/records?topic=${topic}&group=${topic}`);
    await new Promise((done) => slow.once("data", done).resume());
    slow.pause();
    // time for a reader that does not wait for its client to run ahead
    await new Promise((done) => setTimeout(done, 2000));
    slow.destroy();

    const next = new Reader(nginx, topic, topic);
    const has = ([partition, offset]: [number, number]) =>
      next.records.some((record) => record.partition === partition && record.offset === offset);
    await until(
      () => [...last].every(has),
      30_000,
      () => `${next.records.length} records\n${nginx.errorLog()}`,
    );
    expect(next.records.length).toBeGreaterThan(30);
    expect(next.records.length).toBeLessThan(60);
    await next.leave();
  });

  // its clients are the same in both, and Kafka takes its time
  if (host === "worker") return;

  test("without a broker a record fails with Kafka's reason; when it is back, all goes on", async () => {
    const topic = `down-${host}`;
    await send(topic, "k", "before");
    const reader = new Reader(nginx, topic, topic);
    await waitFor(reader, 1);
    await kafka.kill();
    const failed = await nginx.request(`/send?topic=${topic}&key=k`, { body: "lost" });
    expect(failed.status).toBe(502);
    await nginx.waitForLog(
      /(Expiring|TimeoutException|not present).* \(runtime_error\).*"POST \/send/,
    );
    await kafka.start();
    await until(
      async () =>
        (await nginx.request(`/send?topic=${topic}&key=k`, { body: "back" })).status === 200,
      60_000,
      () => nginx.errorLog(),
    );
    await until(() => reader.values.includes("back"), 60_000, described(reader));
    await reader.leave();
  });
});

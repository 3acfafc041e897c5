// examples/rust-grpc against a real gRPC server, as its README has it: calls, deadlines, a stream,
// a client that goes, and a server that goes and comes back.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { codeBlocks } from "../../support/code-blocks.js";
import { failureLua, withPackagePath } from "../../support/failure-lua.js";
import { type Nginx, startNginx, until } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";
import { cargoEnv, rustMinor } from "./cargo.js";
import { buildRustRuntime, type RustRuntime } from "./rust-runtime.js";

// what tonic takes
describe.skipIf(rustMinor < 85)("a gRPC client", () => {
  let built: RustRuntime;
  let nginx: Nginx;
  let server: ChildProcess | undefined;
  let address = "127.0.0.1:0";

  async function startServer(): Promise<void> {
    server = spawn(built.programs["price-server"] ?? "", [address], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const lines = createInterface({ input: server.stdout ?? process.stdin });
    [address] = (await once(lines, "line")) as [string];
  }

  async function stopServer(): Promise<void> {
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, "exit");
    server.kill("SIGTERM");
    await ended;
  }

  beforeAll(async () => {
    const prefix = await builtOpenresty();
    built = buildRustRuntime("examples/rust-grpc", prefix);
    await startServer();
    const blocks = codeBlocks("examples/rust-grpc/README.md", "nginx");
    const [http = "", locations = ""] = blocks.map((code) =>
      code
        .replace("/path/to/examples/rust-grpc/libprices.so", built.library)
        .replace("127.0.0.1:50051", address),
    );
    nginx = await startNginx({
      prefix,
      files: failureLua,
      http: `lua_check_client_abort on; ${withPackagePath(http)}`,
      server: `${locations}
        location = /state { content_by_lua_block { ngx.print(prices():state().unanswered) } }`,
    });
  });

  afterAll(async () => {
    await nginx?.stop();
    await stopServer();
    built?.remove();
  });

  const price = (symbol: string) => nginx.request(`/price?symbol=${symbol}`);

  test("a call gets its response, and what is not there the status of gRPC", async () => {
    expect(await price("tea")).toMatchObject({ status: 200, body: "tea 4.5\n" });
    const missing = await price("gold");
    expect([missing.status, missing.body]).toEqual([404, expect.not.stringContaining("gold")]);
    await nginx.waitForLog(/gold has no price \(runtime_error\): 5.*"GET \/price/);
  });

  test("100 concurrent calls get their own responses over one connection", async () => {
    const responses = await Promise.all(
      Array.from({ length: 100 }, (_, i) => nginx.get(`/price?symbol=${i % 2 ? "tea" : "coffee"}`)),
    );
    expect(responses.filter((response) => response === "tea 4.5\n")).toHaveLength(50);
    expect(responses.filter((response) => response === "coffee 9.25\n")).toHaveLength(50);
    const port = address.split(":")[1];
    const sockets = spawnSync("ss", ["-tnH", "state", "established", `( dport = :${port} )`]);
    expect(sockets.stdout.toString().trim().split("\n")).toHaveLength(1);
  });

  test("the server gets the deadline, and a late response is a timeout", async () => {
    expect(await nginx.get("/price?symbol=deadline")).toBe("deadline 1\n");
    expect((await price("slow")).status).toBe(504);
    await until(
      async () => (await nginx.get("/state")) === "0",
      10_000,
      () => "the call goes on",
    );
  });

  test("a stream returns the messages of the server, then its end or its error", async () => {
    expect(await nginx.get("/watch?symbol=tea&count=3")).toBe("tea 4.5\ntea 5.5\ntea 6.5\n");
    expect((await nginx.request("/watch?symbol=gold&count=3")).status).toBe(500);
    await nginx.waitForLog(/gold has no price \(runtime_error\).*"GET \/watch/);
  });

  test("a client that goes ends the stream of the server", async () => {
    const gone = new AbortController();
    const response = await fetch(`${nginx.url}/watch?symbol=coffee`, { signal: gone.signal });
    const reader = response.body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toContain("coffee 9.25\n");
    expect(await nginx.get("/price?symbol=watchers")).toBe("watchers 1\n");
    gone.abort();
    await reader?.read().catch(() => {});
    await until(
      async () => (await nginx.get("/price?symbol=watchers")) === "watchers 0\n",
      10_000,
      () => nginx.errorLog(),
    );
  });

  test("without a server calls fail with the reason; when it comes back they work again", async () => {
    await stopServer();
    const failed = await price("tea");
    expect(failed.status).toBe(502);
    await startServer();
    await until(
      async () => (await price("tea")).status === 200,
      15_000,
      () => nginx.errorLog(),
    );
  });

  test("cargo fmt and clippy find nothing in the example", () => {
    const cargo = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
      spawnSync("cargo", args, {
        cwd: built.source,
        env: { ...process.env, ...cargoEnv, ...env },
        encoding: "utf8",
      });
    expect(cargo(["fmt", "--check"]).stdout).toBe("");
    // `cargo clippy` would compile the dependencies again, without code
    const linted = cargo(["build"], { RUSTC_WORKSPACE_WRAPPER: "clippy-driver" });
    expect(linted.stderr).not.toMatch(/^warning/m);
    expect(linted.status, linted.stderr).toBe(0);
  });
});

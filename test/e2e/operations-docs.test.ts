// docs/operations.md: its recipes are taken from there and run on an nginx with two workers.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { content } from "../support/lua.js";
import { type Nginx, until, withNginx } from "../support/nginx.js";
import { builtOpenresty } from "../support/openresty.js";
import { commandLineOf } from "../support/processes.js";
import { parsePrometheus } from "../support/prometheus.js";

let prefix: string;

beforeAll(async () => {
  prefix = await builtOpenresty();
});

/** The code block with this name behind its language. */
function block(language: string, name: string): string {
  const text = readFileSync(join(repository, "docs/operations.md"), "utf8");
  const found = new RegExp(`^\`\`\`${language} ${name}\\n(.*?)^\`\`\`$`, "ms").exec(text)?.[1];
  if (found === undefined) throw new Error(`docs/operations.md has no ${name}`);
  return found;
}

const lua = (...names: string[]) =>
  Object.fromEntries(names.map((name) => [`lua/${name}`, block("lua", name)]));

const PATH = 'lua_package_path "@DIR@/lua/?.lua;;";';
const app = (version: number | string) => `export const version = () => ${version};\n`;

/** The response of each worker: sends requests over separate connections until both responded. */
async function ofEachWorker(nginx: Nginx): Promise<string[]> {
  const answers = new Map<string, string>();
  await until(
    async () => {
      const { body } = await nginx.request("/version", { headers: { connection: "close" } });
      const [worker = "", answer = ""] = body.trim().split(" ");
      answers.set(worker, answer);
      return answers.size === 2;
    },
    20_000,
    () => `only ${[...answers.keys()]} answers`,
  );
  return [...answers].sort().map(([worker, answer]) => `${worker} ${answer}`);
}

const VERSION = content(
  "= /version",
  `ngx.say(ngx.worker.id(), " ", assert(assert(require("runtimes").app()).methods:version()))`,
);

test("a deployment reaches all workers, and code that does not load changes nothing", async () => {
  const files = { ...lua("runtimes.lua", "deploy.lua"), "app.mjs": app(1) };
  const http = PATH + block("nginx", "deploy-http");
  const server = VERSION + block("nginx", "deploy-server");
  await withNginx({ prefix, workers: 2, http, server, files }, async (nginx) => {
    expect(await ofEachWorker(nginx)).toEqual(["0 1", "1 1"]);
    writeFileSync(join(nginx.dir, "app.mjs"), app(2));
    expect(await nginx.get("/-/reload")).toBe("worker 0: reloaded\nworker 1: reloaded\n");
    expect(await ofEachWorker(nginx)).toEqual(["0 2", "1 2"]);
    writeFileSync(join(nginx.dir, "app.mjs"), app("no code"));
    const { status, body } = await nginx.request("/-/reload");
    expect(status).toBe(500);
    const failed = body.trim().split("\n");
    expect(failed.length).toBe(2);
    for (const [id, line] of failed.entries()) {
      expect(line).toMatch(new RegExp(`^worker ${id}: app: .* the old code stays: .*app\\.mjs`));
    }
    expect(await ofEachWorker(nginx)).toEqual(["0 2", "1 2"]);
    const memory = execFileSync("sh", ["-c", block("sh", "memory")], { encoding: "utf8" });
    const processes = nginx.family().filter(({ pid }) => /^nffi: /.test(commandLineOf(pid)));
    expect(processes.length).toBe(2);
    for (const { pid } of processes)
      expect(memory).toMatch(new RegExp(`^${pid} \\d+\\.?\\d* MB$`, "m"));
    // the log of a reload is one line for each worker; nothing warns of how it waits
    const log = nginx.errorLog();
    expect(log.match(/nffi: runtime "app\.mjs": reloaded/g)?.length).toBe(2);
    expect(log.match(/nffi: .*; the old code stays/g)?.length).toBe(2);
    expect(log).not.toMatch(/\[warn\]|\[alert\]|ngx\.sleep/);
  });
});

test("a scrape has the metrics of all workers, and both recipes fit in one nginx", async () => {
  const names = ["runtimes.lua", "deploy.lua", "workers_metrics.lua"];
  const files = { ...lua(...names), "app.mjs": app(1) };
  const http = PATH + block("nginx", "both-http");
  const server = VERSION + block("nginx", "metrics-server") + block("nginx", "deploy-server");
  await withNginx({ prefix, workers: 2, http, server, files }, async (nginx) => {
    await ofEachWorker(nginx);
    for (let i = 0; i < 20; i++) {
      await nginx.request("/version", { headers: { connection: "close" } });
    }
    let text = "";
    const workers = () => {
      const calls = parsePrometheus(text).get("nffi_calls_total")?.samples ?? [];
      return calls.filter(({ labels, value }) => labels.runtime === "app.mjs" && value > 0);
    };
    await until(
      async () => {
        text = await nginx.get("/metrics");
        const sum = workers().reduce((all, { value }) => all + value, 0);
        return workers().length === 2 && sum >= 22;
      },
      15_000,
      () => text,
    );
    expect(
      workers()
        .map(({ labels }) => labels.worker)
        .sort(),
    ).toEqual(["0", "1"]);
    expect(text).toContain('nffi_run_seconds_bucket{worker="1",runtime="app.mjs"');
    expect(await nginx.get("/-/reload")).toBe("worker 0: reloaded\nworker 1: reloaded\n");
  });
});

test("pools multiply, and the size that is derived fits the database", async () => {
  const database = await counter();
  const { port } = database.server.address() as { port: number };
  const files = {
    ...lua("pool.lua"),
    "pool.mjs": `import { connect } from "node:net";
      import { setup } from "./start.mjs";
      export const size = (_, context) => setup(() => connect(${port}, "127.0.0.1"), context.config.pool);`,
    "start.mjs": `let pool;
      export const setup = (open, size) => (pool ??= Array.from({ length: size }, open)).length;`,
  };
  const http = `${PATH} init_worker_by_lua_block {
    for i = 1, 4 do  -- two processes, which take turns
      assert(ngx.timer.at(0, function() assert(assert(require("pool")()).methods:size()) end))
    end
  }`;
  try {
    await withNginx({ prefix, workers: 2, http, files }, async () => {
      await until(
        () => database.count() === 2 * 2 * 11,
        15_000,
        () => `${database.count()} connections`,
      );
    });
  } finally {
    database.server.close();
  }
});

/** A server that counts its connections. */
async function counter(): Promise<{ server: Server; count: () => number }> {
  let count = 0;
  const server = createServer((socket) => {
    count++;
    socket.on("error", () => {}).resume();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return { server, count: () => count };
}

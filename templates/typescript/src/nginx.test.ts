// End to end: HTTP, nginx, Lua, the handler, and back. Starts a separate nginx with the project's
// nginx.conf on a free port, beside one that `npm start` may have started.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
let address = "";

before(async () => {
  const port = await freePort();
  nginx("start", "--port", String(port));
  address = `http://127.0.0.1:${port}`;
});

after(() => nginx("stop"));

test("GET /hello answers", async () => {
  const response = await fetch(`${address}/hello?name=Ada`);
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "hello Ada\n");
});

test("an error of the handler is a 500, and its message is in the log only", async () => {
  const response = await fetch(`${address}/hello?name=%20`);
  assert.equal(response.status, 500);
  assert.doesNotMatch(await response.text(), /the name is empty/);
  const log = await readFile(`${root}run-test/logs/error.log`, "utf8");
  assert.match(log, /the name is empty \(runtime_error\).* request: "GET \/hello/);
});

test("a slow call does not delay others", async () => {
  const order: string[] = [];
  const slow = fetch(`${address}/wait?ms=1000`).then(() => order.push("slow"));
  for (const name of ["first", "second"]) {
    await fetch(`${address}/hello?name=${name}`);
    order.push(name);
  }
  await slow;
  assert.deepEqual(order, ["first", "second", "slow"]);
});

function nginx(...args: string[]): void {
  execFileSync(process.execPath, ["scripts/nginx.mjs", ...args, "--run", "run-test"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const bound = server.address();
  server.close();
  await once(server, "close");
  assert(bound !== null && typeof bound === "object");
  return bound.port;
}

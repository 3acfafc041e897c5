// End to end: HTTP, nginx, Lua, the handler, and back. Starts a separate nginx with the project's
// nginx.conf on a free port, beside one that `npm start` may have started.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
// prints its address when it serves, and ends nginx when its standard input ends
const nginx = spawn("sh", ["scripts/nginx.sh", "run"], {
  cwd: root,
  stdio: ["pipe", "pipe", "inherit"],
});
let address = "";

before(async () => {
  const [line] = await Promise.race([
    once(createInterface(nginx.stdout), "line"),
    once(nginx, "exit"),
  ]);
  assert.match(String(line), /^http:/, "nginx did not start");
  address = String(line);
});

after(async () => {
  nginx.stdin.end();
  if (nginx.exitCode === null) await once(nginx, "exit");
});

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

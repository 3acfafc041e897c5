// Calls that come without a pause leave Node's loop its turns: timers, sockets and immediates of a
// module go on while the worker calls it, in a real nginx.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { content } from "../../support/lua.js";
import { type Nginx, startNginx } from "../../support/nginx.js";
import { builtOpenresty, suites } from "../../support/openresty.js";

/** The most calls that the addon takes in one turn (ADDON_ROUNDS and ADDON_BATCH of addon.h). */
const CALLS_A_TURN = 16 * 64;
const CALLS = 50 * CALLS_A_TURN;
/** More than the addon takes at a time: some always wait, and it never has a reason to stop. */
const TOGETHER = 256;

// A call computes for longer than the worker needs for one, so the next ones wait in the queue.
const MODULE = `
import { connect, createServer } from "node:net";
const done = { timers: 0, immediates: 0, echoes: 0 };
let before, after, calls = 0;

export const start = async () => {
  const server = createServer((socket) => socket.pipe(socket));
  await new Promise((listens) => server.listen(0, "127.0.0.1", listens));
  const client = connect(server.address().port, "127.0.0.1");
  client.setNoDelay().on("data", (data) => { done.echoes++; client.write(data); });
  client.write("x");
  setInterval(() => done.timers++, 1);
  const again = () => { done.immediates++; setImmediate(again); };
  again();
  return true;
};

export const work = () => {
  for (const end = performance.now() + 0.02; performance.now() < end;);
  calls++;
  if (calls === 1) before = { ...done };
  if (calls === ${CALLS}) after = { ...done };
  return true;
};

export const progress = () =>
  Object.fromEntries(Object.entries(after).map(([name, count]) => [name, count - before[name]]));
`;

const SERVER = content(
  "= /",
  `local rt = assert(nffi.load("node", { module = "main.mjs" }))
   assert(rt.methods:start())
   local threads = {}
   for i = 1, ${TOGETHER} do
     threads[i] = ngx.thread.spawn(function()
       for _ = 1, ${CALLS / TOGETHER} do assert(rt.methods:work()) end
     end)
   end
   for i = 1, #threads do assert(ngx.thread.wait(threads[i])) end
   ngx.print(require("cjson").encode(rt.methods:progress()))`,
);

describe.each(suites)("calls without a pause to a TypeScript runtime, %s", (suite) => {
  let nginx: Nginx;

  beforeAll(async () => {
    const prefix = await builtOpenresty(suite);
    nginx = await startNginx({ prefix, files: { "main.mjs": MODULE }, server: SERVER });
  });

  afterAll(async () => {
    await nginx?.stop({ signal: "SIGQUIT" });
  });

  test("timers, sockets and immediates have their turns between the calls", async () => {
    const { timers, immediates, echoes } = JSON.parse(await nginx.get("/"));
    // One immediate for each turn of the loop.
    expect(immediates).toBeGreaterThanOrEqual(CALLS / CALLS_A_TURN - 1);
    expect(timers).toBeGreaterThan(10);
    expect(echoes).toBeGreaterThan(10);
  });
});

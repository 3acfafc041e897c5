// lua/failure.lua of the templates: what a client and error.log get of a call that fails.
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LANGUAGES, type Language } from "../../../src/catalog/languages.js";
import { readTemplate } from "../../../src/scaffold/template.js";
import { repository } from "../../support/cli.js";
import { failureLua } from "../../support/failure-lua.js";
import { type Nginx, startNginx } from "../../support/nginx.js";
import { builtOpenresty } from "../../support/openresty.js";

async function sourceIn({ templates }: Language): Promise<string> {
  const files = await readTemplate(join(repository, "templates"), templates);
  return files.find(({ path }) => path === "lua/failure.lua")?.text ?? "";
}

const HANDLERS = `
import { setTimeout } from "node:timers/promises";
export const slow = () => setTimeout(60_000);
export const fails = ({ size }) => { throw new Error("secret\\n" + "x".repeat(size)); };
export const ends = () => process.exit(9);
export async function* breaks() { yield 1; await setTimeout(100); throw new Error("secret"); }
`;

const LOCATIONS = `
  location /call { content_by_lua_block {
    local failure, nffi = require "failure", require "resty.nffi"
    local options = { module = "handlers.mjs", max_tasks = 1, config = ngx.var.arg_method }
    local methods = assert(nffi.load("node", options)).methods
    if ngx.var.arg_busy then ngx.thread.spawn(methods.slow, methods, {}) end
    local method = methods[ngx.var.arg_method]
    local value = { size = tonumber(ngx.var.arg_size) or 0 }
    local response, message, code, detail = method(methods, value, { timeout = tonumber(ngx.var.arg_timeout) })
    if not response then return failure.respond(message, code, detail) end
    ngx.say(response)
  } }
  location /stream { content_by_lua_block {
    local runtime = assert(require("resty.nffi").load("node", { module = "handlers.mjs" }))
    local stream = runtime.streams:breaks({})
    for chunk in stream do ngx.say(chunk) ngx.flush(true) end
    require("failure").respond(stream:error())
  } }
  location /gone { content_by_lua_block {
    require("failure").respond("the client is gone", "client_gone")
  } }`;

let nginx: Nginx;

beforeAll(async () => {
  nginx = await startNginx({
    prefix: await builtOpenresty(),
    http: 'lua_package_path "@DIR@/?.lua;;";',
    server: LOCATIONS,
    files: { "handlers.mjs": HANDLERS, "failure.lua": await sourceIn(LANGUAGES[0]) },
  });
});

afterAll(() => nginx?.stop());

test("the templates and the examples have the same one", async () => {
  const source = await sourceIn(LANGUAGES[0]);
  expect(failureLua["failure.lua"]).toBe(source);
  for (const language of LANGUAGES) expect(await sourceIn(language)).toBe(source);
});

test.each([
  ["fails", 500, /secret \(runtime_error\): Error: secret .*handlers\.mjs/],
  ["none", 500, /none.* \(runtime_error\)/],
  ["slow&timeout=300", 504, /\(timeout\)/],
  ["ends", 503, /\(runtime_down\)/],
  ["slow&busy=1", 503, /\(queue_full\)/],
])(
  "%s: the client gets %i, the log message, code, detail and request",
  async (method, status, entry) => {
    const response = await nginx.request(`/call?method=${method}`);
    expect(response.status).toBe(status);
    expect(response.body).not.toMatch(/secret|runtime|queue|handlers|Error: /);
    const request = `request: "GET /call\\?method=${method} HTTP/1.1"`;
    await nginx.waitForLog(new RegExp(`\\[error\\] .*${entry.source}.*${request}`));
  },
);

test("a detail of any size leaves the request in the entry, which is one line", async () => {
  await nginx.request("/call?method=fails&size=40000");
  await nginx.waitForLog(/secret \| x+\.\.\. \(runtime_error\): .*\.\.\., client: .*size=40000/);
});

test("a stream that fails after its first chunk closes the connection", async () => {
  await expect(nginx.request("/stream")).rejects.toThrow();
  await nginx.waitForLog(/\[error\] .*secret \(runtime_error\).*"GET \/stream/);
});

test("a client that leaves is no error in the log", async () => {
  await nginx.request("/gone");
  expect(nginx.errorLog()).not.toMatch(/\[error\].*client_gone/);
});

// The Python of the tests, and an nginx that calls the modules of test/sdk/python/fixtures.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../../support/cli.js";
import { ownResponses, SUM_OF_CHUNKS } from "../../support/lua.js";
import type { Nginx, NginxOptions } from "../../support/nginx.js";

/**
 * The distribution's: with its package libpython3-dev it has a shared library. NFFI_TEST_PYTHON
 * names another one to test with, one without numpy perhaps.
 */
export const systemPython = process.env.NFFI_TEST_PYTHON ?? "/usr/bin/python3";

const folder = join(repository, "test/sdk/python/fixtures");

/** Files of the fixtures, for the directory of an nginx. */
export function fixtures(): Record<string, string> {
  const names = ["app.py", "aio.py", "helper.py", "old.py", "pools.py"];
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}

/** A virtual environment at `path`, which sees the packages of the system. */
export function makeVenv(path: string, ...options: string[]): string {
  execFileSync(systemPython, ["-m", "venv", ...options, path], { stdio: "inherit" });
  return join(path, "bin/python");
}

const location = (path: string, code: string) => `location = ${path} { content_by_lua_block {
    local cjson = require "cjson.safe"
    local rt = assert(require("load")(ngx.var.arg_host, ngx.var.arg_module or "app.py", cjson.decode(ngx.unescape_uri(ngx.var.arg_options or "{}"))))
    ${code}
} }`;

const LOAD = `
return function(host, module, more)
    local options = { module = module, host = host, program = "${systemPython}" }
    for name, value in pairs(more or {}) do options[name] = value end
    return require("resty.nffi").load("python", options)
end
`;

// /call: a method with JSON. /raw: bytes. /stream: what its chunks are, and how it ends.
export const SERVER = [
  location(
    "/call",
    `ngx.req.read_body()
    local value = cjson.decode(ngx.req.get_body_data() or "null")
    if value == cjson.null then value = nil end
    local name = ngx.var.arg_name
    local response, message, code, detail = rt.methods[name](rt.methods, value,
        { timeout = tonumber(ngx.var.arg_timeout) })
    ngx.print(cjson.encode({ message and cjson.null or response, message, code, detail }))`,
  ),
  location(
    "/raw",
    `ngx.req.read_body()
    ngx.print(assert(rt:call(ngx.req.get_body_data())))`,
  ),
  location(
    "/stream",
    `local stream = rt.streams[ngx.var.arg_name](rt.streams, tonumber(ngx.var.arg_n))
    ${SUM_OF_CHUNKS}`,
  ),
  location(
    "/flood",
    `for chunk in rt.streams:flood() do
        ngx.print(chunk)
        ngx.flush(true)
    end`,
  ),
  location(
    "/threads",
    `local function text(i) return "call " .. i end
    ${ownResponses("rt.call, rt, text(i)")}`,
  ),
  location(
    "/reload",
    `local done, message, code, detail = rt:reload()
    ngx.print(cjson.encode({ done or cjson.null, message, code, detail }))`,
  ),
  location("/close", "rt:close()"),
  "location = /alive { return 200 alive; }",
].join("\n");

export const pythonNginx = (prefix: string, server = ""): NginxOptions => ({
  prefix,
  // it may be in a home
  ...(process.env.NFFI_TEST_PYTHON && process.getuid?.() === 0 ? { main: "user root;" } : {}),
  http: `lua_package_path "$prefix?.lua;;"; client_max_body_size 0; client_body_buffer_size 8m;`,
  server: `lua_check_client_abort on; ${SERVER} ${server}`,
  files: { "load.lua": LOAD, ...fixtures() },
});

/** A call of `/call`: the result, or null, message, code and detail. */
export const call = async (
  nginx: Nginx,
  host: string,
  name: string,
  query = "",
  value: unknown = null,
) => {
  const path = `/call?host=${host}&name=${name}${query}`;
  return JSON.parse(
    (await nginx.request(path, { method: "POST", body: JSON.stringify(value) })).body,
  );
};

/** The part of a query with the options of nffi.load(). */
export const optionsOf = (options: unknown) =>
  `&options=${encodeURIComponent(JSON.stringify(options))}`;

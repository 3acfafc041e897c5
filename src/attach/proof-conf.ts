/** The configuration of the proof: one location for each check. */
import { join } from "node:path";

/** The locations and what each proves; all respond with "ok". */
export const CHECKS = {
  echo: "a call through the echo library (eventfd)",
  timeout: "a deadline (timer)",
  batch: "16 calls at once from light threads and an ngx.timer (posted events)",
  node: "a call to Node",
} as const;

export type CheckName = keyof typeof CHECKS;

/** The beginning of each location: `echo` is the runtime, `fail` ends the request. */
const COMMON = `
local nffi = require "resty.nffi"
local function fail(...)
    ngx.print(table.concat({ ... }, ": "))
    return ngx.exit(ngx.OK)
end
local echo, message, code = nffi.load("@ECHO@")
if not echo then fail("the echo library cannot be loaded", message, code) end
`;

const BODIES: Readonly<Record<CheckName, string>> = {
  echo: `
local response, message = echo.methods:echo("bytes")
if response ~= "bytes" then fail("expected bytes", response or message) end
`,
  timeout: `
local started = ngx.now()
local response, message, code = echo.methods:sleep("400", { timeout = 50 })
ngx.update_time()
if code ~= "timeout" then fail("expected a timeout", response or message) end
if ngx.now() - started > 0.35 then fail("the deadline was noticed late") end
`,
  batch: `
local sum, timed = 0, false
local function call(number)
    local response, message = echo.methods:echo(tostring(number))
    if response ~= tostring(number) then return message or "another response" end
    sum = sum + number
end
assert(ngx.timer.at(0, function() timed = call(100) == nil end))
local threads = {}
for i = 1, 16 do threads[i] = ngx.thread.spawn(call, i) end
for i = 1, 16 do
    local ok, message = ngx.thread.wait(threads[i])
    if not ok or message then fail("a call failed", message) end
end
for _ = 1, 200 do
    if timed then break end
    ngx.sleep(0.01)
end
if sum ~= 236 then fail("expected the sum 236", tostring(sum)) end
`,
  node: `
local rt, message = nffi.load("node", { module = "@MODULE@" })
if not rt then fail("Node cannot be started", message) end
local response, message = rt.methods:twice({ number = 21 })
if type(response) ~= "table" then fail("a call to Node failed", message) end
if response.number ~= 42 then fail("expected 42", tostring(response.number)) end
`,
};

/** The module that Node runs. */
export const MODULE = "export const twice = ({ number }) => ({ number: number * 2 });\n";

export interface ProofPaths {
  /** The product that is proven: its prefix, or where it is staged. */
  readonly productDir: string;
  readonly dir: string;
}

function withPaths(text: string, { productDir, dir }: ProofPaths): string {
  return text
    .replaceAll("@ECHO@", () => join(productDir, "nffi/lib/libnffi_echo.so"))
    .replaceAll("@MODULE@", () => join(dir, "proof.mjs"));
}

export function httpConf(paths: ProofPaths): string {
  const names = Object.keys(CHECKS) as CheckName[];
  const locations = names.map(
    (name) => `location = /${name} { content_by_lua_block {
${withPaths(COMMON + BODIES[name], paths)}
ngx.print("ok") } }`,
  );
  return `server { listen unix:${join(paths.dir, "http.sock")};
${locations.join("\n")}
}`;
}

export function streamConf(paths: ProofPaths, luaPath: string): string {
  return `stream {
    lua_package_path "${luaPath}";
    server { listen unix:${join(paths.dir, "stream.sock")};
        content_by_lua_block {
            local nffi = require "resty.nffi"
            local echo, message = nffi.load("${join(paths.productDir, "nffi/lib/libnffi_echo.so")}")
            local response
            if echo then response, message = echo.methods:echo("ok") end
            ngx.print(response or message)
        }
    }
}`;
}

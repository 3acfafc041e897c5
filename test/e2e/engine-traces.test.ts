// LuaJIT compiles the Lua part of calls, whatever the user's code does around them. It aborts a
// trace that it cannot finish; after some of these the code stays interpreted, at two to three
// times the cost of a call. Which traces it tries first is random, so a time would show that only
// in some runs.
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { withNginx } from "../support/nginx.js";
import { builtOpenresty, suites } from "../support/openresty.js";

// A new closure cannot be compiled. LuaJIT records what follows a yield together with it.
const CALLS = `
local util = require "jit.util"
local rt = assert(require("resty.nffi").load("LIBRARY", { config = "4" }))
local bytes = ("x"):rep(512)
local ways = {
  call = function() return rt:call(bytes) end,
  options = function() return rt:call(bytes, { timeout = 20000, method = "echo" }) end,
  method = function() return rt.methods:echo(bytes) end,
  stream = function()
    for chunk in rt:stream("3 10", { method = "count" }) do assert(chunk) end
    return true
  end,
}

local function place(func, pc)
  local info = util.funcinfo(func, pc)
  return info.source and info.source:match("[^@=/]*/?[^/]*$") .. ":" .. info.currentline or "C"
end

local started, is_side, aborted, compiled = "", false, {}, {}

-- a side trace, as for the end of a stream, may go on in the user's code: only that way stays
-- interpreted
local function watch(what, _, func, pc, parent, exit)
  -- of an abort it is the reason; 0: an error or a finalizer of the collector came in between
  if what == "start" then
    started, is_side = place(func, pc), parent and exit ~= -1
  elseif what == "stop" then
    compiled[started:match("[^:]*")] = true
  elseif what == "abort" and parent ~= 0 then
    local at = place(func, pc)
    if at:find("nffi") or started:find("nffi") and not is_side then
      aborted[#aborted + 1] = started .. " at " .. at
    end
  end
end

local function repeated(call)
  for i = 1, 60 do
    local _ = function() return i end
    assert(call())
  end
end

local args = ngx.req.get_uri_args()
assert(ways[args.way]())
jit.flush()
jit.attach(watch, "trace")
local threads = {}
for i = 1, 64 do threads[i] = ngx.thread.spawn(repeated, ways[args.way]) end
for i = 1, 64 do assert(ngx.thread.wait(threads[i])) end
jit.attach(watch)
ngx.say(compiled[args.file] and "compiled" or "interpreted")
ngx.print(table.concat(aborted, "\\n"))
`;

describe.each(suites)("LuaJIT's traces of calls, %s", (suite) => {
  // at times LuaJIT, which chooses its hot loops by a hash with a random seed, compiles another one
  test("no trace aborts that begins or ends in the code of nffi", { retry: 2 }, async () => {
    const prefix = await builtOpenresty(suite);
    const code = CALLS.replace("LIBRARY", join(prefix, "nffi/lib/libnffi_echo.so"));
    const server = `location / { content_by_lua_block { ${code} } }`;
    await withNginx({ prefix, server }, async (nginx) => {
      for (const way of ["call", "options", "method", "stream"]) {
        const file = way === "stream" ? "nffi/stream.lua" : "resty/nffi.lua";
        expect(await nginx.get(`/?way=${way}&file=${file}`), way).toBe("compiled\n");
      }
    });
  });
});

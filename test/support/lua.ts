// nginx locations with Lua content handlers, for the tests of the engine.

/** A content handler with `nffi`, and `show(...)`, which joins values of any type by "|". */
export function content(path: string, code: string): string {
  return `location ${path} { content_by_lua_block {
    local nffi = require "resty.nffi"
    local function show(...)
        local t = { ... }
        for i = 1, select("#", ...) do t[i] = tostring(t[i]) end
        return table.concat(t, "|")
    end
    ${code}
  } }`;
}

/** Lua that reads `stream`, which yields numbers: prints their count, their sum and its error. */
export const SUM_OF_CHUNKS = `local sum, chunks = 0, 0
    for value in stream do
        sum, chunks = sum + value, chunks + 1
    end
    ngx.print(chunks, " ", sum, " ", (stream:error()))`;

/** Lua that makes 1000 calls at once with text(i): prints how many got their own text back. */
export const ownResponses = (call: string): string => `local own, threads = 0, {}
    for i = 1, 1000 do
        threads[i] = ngx.thread.spawn(${call})
    end
    for i = 1, 1000 do
        local _, response = ngx.thread.wait(threads[i])
        if response == text(i) then own = own + 1 end
    end
    ngx.print(own)`;

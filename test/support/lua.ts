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

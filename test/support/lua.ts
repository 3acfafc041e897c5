// Locations whose content is made by Lua, as the engine's tests want them.

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

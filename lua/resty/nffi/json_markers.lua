-- Markers for JSON's null and its lists, which Lua does not have. If lua-cjson
-- is installed and has them, its markers are used, so that each encoder accepts
-- the values of the other decoder.


local ngx = ngx
local pcall = pcall
local require = require


local found, cjson = pcall(require, "cjson")

if not found then
    cjson = {}
end


return {
    null = ngx.null,

    -- a table with this metatable is a list
    array_mt = cjson.array_mt or {},

    -- a table with this metatable is a list while it is empty
    empty_array_mt = cjson.empty_array_mt or {},

    -- nil if lua-cjson has none
    empty_array = cjson.empty_array,
}

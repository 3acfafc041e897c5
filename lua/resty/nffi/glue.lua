-- The glue: compiled into this nginx, or the shared object of an attached
-- product. `C` has its functions. Where there is none, `missing` says why.


local ffi = require "ffi"


local error = error
local getinfo = debug.getinfo
local loadlib = package.loadlib
local pcall = pcall
local tostring = tostring


ffi.cdef[[
uint32_t ngx_http_lua_nonblocking_ffi_abi_version(void);
uint32_t ngx_http_lua_nonblocking_ffi_enter(uint32_t is_stream,
    void *coroutine);
]]


-- from PREFIX/lualib/resty/nffi/glue.lua
local PREFIX = getinfo(1, "S").source:match("^@(.*)/lualib/resty/nffi/")
               or "/usr/local/openresty"


-- As NGX_HTTP_LUA_NFFI_ABI of the glue.
local ABI = 3

local YIELD = "ngx_http_lua_nonblocking_ffi_yield"


local _M = { ROOT = PREFIX .. "/nffi" }


local function is_exported(name)
    return (pcall(function() return ffi.C[name] end))
end


local function has_other_abi(C)
    return C.ngx_http_lua_nonblocking_ffi_abi_version() ~= ABI
end


-- Another VM of this process may have opened the attached glue for all.
if is_exported("ngx_http_lua_nonblocking_ffi_abi_version")
   and not is_exported("ngx_http_lua_nonblocking_ffi_enter")
then
    if has_other_abi(ffi.C) then
        error("this nginx was built with another version of nffi than its "
              .. "Lua files: restart it, since a reload keeps the program, or "
              .. "remove the lualib of another product from lua_package_path")
    end

    _M.C = ffi.C

    -- a function of Lua in the program, which has no name
    _M.yield = loadlib("", YIELD)

else
    local path = _M.ROOT .. "/lib/libnffi_glue.so"

    -- global: libraries of the public ABIs find their functions there
    local found, opened = pcall(ffi.load, path, true)

    _M.is_attached = true

    if not found then
        _M.missing = "the glue of nffi cannot be loaded: " .. tostring(opened)
                     .. ": run `nffi attach` again"

    elseif has_other_abi(opened) then
        _M.missing = "nginx has the glue of another version of nffi in memory "
                     .. "than its Lua files: restart nginx, since a reload "
                     .. "keeps the glue"
    else
        _M.C = opened
        _M.yield = loadlib(path, YIELD)
    end
end


return _M

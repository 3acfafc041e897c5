-- The glue: compiled into this nginx, or the shared object of an attached
-- product. `C` has its functions. Where there is none, `missing` is the reason.


local ffi = require "ffi"


local error = error
local getinfo = debug.getinfo
local loadlib = package.loadlib
local pcall = pcall
local tostring = tostring


ffi.cdef[[
uint32_t ngx_http_lua_nonblocking_ffi_abi_version(void);
void *ngx_http_lua_nonblocking_ffi_parked(void);
]]


-- from PREFIX/lualib/resty/nffi/glue.lua
local PREFIX = getinfo(1, "S").source:match("^@(.*)/lualib/resty/nffi/")
               or "/usr/local/openresty"


local _M = { ROOT = PREFIX .. "/nffi" }


local function is_exported(name)
    return (pcall(function() return ffi.C[name] end))
end


-- Another VM of this process may have opened the attached glue for all.
if is_exported("ngx_http_lua_nonblocking_ffi_abi_version")
   and not is_exported("ngx_http_lua_nonblocking_ffi_parked")
then
    _M.C = ffi.C

    -- a function of Lua in the program, which has no name
    _M.yield = loadlib("", "ngx_http_lua_nonblocking_ffi_yield")

    if not _M.yield then
        error("this nginx was built with another version of nffi than its "
              .. "Lua files: restart it, since a reload keeps the program")
    end

else
    -- global: libraries of the public ABIs find their functions there
    local found, opened = pcall(ffi.load, _M.ROOT .. "/lib/libnffi_glue.so",
                                true)

    _M.is_attached = true
    _M.C = found and opened or nil
    _M.missing = not found and tostring(opened) or nil
end


return _M

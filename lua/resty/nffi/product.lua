-- The product of `nffi build` that these modules are part of: its directories
-- and its manifest.


local codecs = require "resty.nffi.codecs"


local debug_getinfo = debug.getinfo
local io_open = io.open
local type = type


-- seen from PREFIX/lualib/resty/nffi/product.lua
local PREFIX = debug_getinfo(1, "S").source:match("^@(.*)/lualib/resty/nffi/")
               or "/usr/local/openresty"


local _M = { ROOT = PREFIX .. "/nffi" }


-- Returns the content of a file, or nil.
function _M.read_file(path)
    local file = io_open(path)

    if not file then
        return nil
    end

    local text = file:read("*a")

    file:close()

    return text
end


-- Returns the manifest, or an empty table if there is none that can be read.
function _M.manifest()
    local text = _M.read_file(_M.ROOT .. "/nffi.json")
    local manifest = text and codecs.json.decode(text)

    return type(manifest) == "table" and manifest or {}
end


return _M

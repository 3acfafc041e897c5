-- The product of `nffi build` that these modules are part of: its directories
-- and its manifest.


local codecs = require "resty.nffi.codecs"
local glue = require "resty.nffi.glue"


local io_open = io.open
local type = type


local _M = { ROOT = glue.ROOT }


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

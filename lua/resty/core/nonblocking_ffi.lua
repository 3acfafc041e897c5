-- The public ABI: ngx.load_nonblocking_ffi() and ngx.load_ffi(). Any name is a
-- method of a runtime, so the object has no field that could hide one.
-- lua-resty-core loads this file in every http Lua VM.


local abi = require "resty.nffi.abi"
local base = require "resty.core.base"
local calls = require "resty.nffi.calls"
local misuse = require "resty.nffi.misuse"
local runtimes = require "resty.nffi.runtimes"
local text = require "resty.nffi.text"


local bytes_of = text.bytes
local call = calls.call
local ngx = ngx
local raise = misuse.raise
local setmetatable = setmetatable
local tostring = tostring
local type = type


local OK = abi.OK
local RC = abi.RC

local DEFAULT_MAX_QUEUE = 65536
local MAX_METHODS = abi.MAX_METHODS


local pointers = setmetatable({}, { __mode = "k" })


local function results(kind, a, b)
    if kind == OK then
        return true, a
    end

    if kind == RC then
        return false, a, b
    end

    -- a is the message, b the code
    return nil, b, a
end


local function pointer_of(runtime, name)
    local pointer = pointers[runtime]

    if not pointer then
        raise("call it as runtime:" .. name .. "()")
    end

    return pointer
end


local kept = 0

local methods = setmetatable({
    __unload = function(runtime)
        runtimes.close(pointer_of(runtime, "__unload"))
        return true
    end,
}, {
    __index = function(cache, name)
        name = tostring(name)

        local function method(runtime, payload)
            local pointer = pointer_of(runtime, name)

            return results(call(pointer, name, bytes_of(payload), 0))
        end

        if kept < MAX_METHODS then
            kept = kept + 1
            cache[name] = method
        end

        return method
    end,
})


local runtime_mt = {
    __index = methods,

    __call = function(runtime, payload)
        return results(call(pointers[runtime], nil, bytes_of(payload), 0))
    end,
}


-- The objects by the address of the runtime, so that the same library and
-- configuration return the same object. The object holds the pointer, so no
-- other runtime can have the address during its lifetime.
local objects = setmetatable({}, { __mode = "v" })


local function load_library(library, config, options)
    if type(library) ~= "string" then
        raise("library must be a string, got " .. type(library))
    end

    if config ~= nil and type(config) ~= "string" then
        raise("configuration must be a string, got " .. type(config))
    end

    options = options or {}

    local limits = runtimes.limits(options)

    if limits.max_queue == 0 then
        limits.max_queue = DEFAULT_MAX_QUEUE
    end

    -- `unpin` permits to close the library after unload. It is accepted, but
    -- the library stays mapped, since its threads may still run its code.

    local pointer, err, code, rc = runtimes.load(library, config, limits)

    if not pointer then
        -- assert() would only show the code
        if rc then
            ngx.log(ngx.ERR, err)
            return nil, rc, err
        end

        return nil, err, code
    end

    local address = runtimes.address(pointer)
    local runtime = objects[address]

    if not runtime then
        runtime = setmetatable({}, runtime_mt)
        pointers[runtime] = pointer
        objects[address] = runtime
    end

    return runtime
end


ngx.load_nonblocking_ffi = load_library
ngx.load_ffi = load_library


return { version = base.version }

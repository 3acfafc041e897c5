-- Finds the runtime that was loaded with the same arguments, without a system
-- call, a call to C or a new table. The arguments are a path through nested
-- tables: each name and value of the options is a step, in the order of
-- pairs(). Steps are copies, so the caller may change its table. Equal tables
-- with another order have another path to the same runtime.


local runtimes = require "resty.nffi.runtimes"


local getmetatable = getmetatable
local next = next
local pairs = pairs
local type = type


-- Max cached runtimes. When one more is added, the cache is cleared.
local MAX_RUNTIMES = 10000

-- Deeper tables, recursive tables, and tables with more values are not cached,
-- since a step costs a table.
local MAX_DEPTH = 32
local MAX_STEPS = 10000

-- Steps that no option can be.
local OPEN, CLOSE, LEAF = {}, {}, {}


local _M = {}


local root = {}
local kept = 0

-- the paths to a runtime, by its address
local paths = {}


-- Returns the node for `key`, or nil if there is none. With `path`, creates the
-- node and records the step.
local function step(node, key, path)
    local child = node[key]

    if path then
        if not child then
            child = {}
            node[key] = child
        end

        path[#path + 1] = node
        path[#path + 1] = key

        if #path > MAX_STEPS * 2 then
            return nil
        end
    end

    return child
end


local function walk(node, options, path, depth)
    for name, value in pairs(options) do
        node = step(node, name, path)

        if not node or value ~= value or depth > MAX_DEPTH then
            return nil
        end

        -- a codec belongs to the caller: compare it by identity
        if type(value) == "table" and not (depth == 1 and name == "codec") then
            node = step(node, OPEN, path)
            node = node and step(node, getmetatable(value) or OPEN, path)
            node = node and walk(node, value, path, depth + 1)
            node = node and step(node, CLOSE, path)

        else
            node = step(node, value, path)
        end

        if not node then
            return nil
        end
    end

    return node
end


-- Removes the nodes of a path that have no children.
local function prune(path)
    for i = #path - 1, 1, -2 do
        local node, key = path[i], path[i + 1]

        if next(node[key]) ~= nil then
            break
        end

        node[key] = nil
    end

    kept = kept - 1
end


-- Removes a runtime that was closed.
function _M.forget(pointer)
    local address = runtimes.address(pointer)

    for _, path in pairs(paths[address] or {}) do
        path.leaf[LEAF] = nil
        prune(path)
    end

    paths[address] = nil
end


-- Returns the open runtime that was cached for the same arguments, or nil.
function _M.find(name, options)
    local node = root[name]

    node = node and walk(node, options, nil, 1)

    local runtime = node and node[LEAF]

    if not runtime then
        return nil
    end

    if not runtimes.is_open(runtime._pointer) then
        _M.forget(runtime._pointer)
        return nil
    end

    return runtime
end


function _M.keep(name, options, runtime)
    if kept >= MAX_RUNTIMES then
        root, paths, kept = {}, {}, 0
    end

    local address = runtimes.address(runtime._pointer)
    local path = {}
    local node = walk(step(root, name, path), options, path, 1)

    kept = kept + 1

    if not node then
        prune(path)
        return
    end

    path.leaf = node
    node[LEAF] = runtime

    local list = paths[address] or {}

    list[#list + 1] = path
    paths[address] = list
end


return _M

-- One call after another from one request: a runtime of nffi, or a cosocket that is kept open.
local nffi = require "resty.nffi"

local _M = {}


local function per_second(count, call)
    for _ = 1, 50 do
        assert(call())
    end

    ngx.update_time()
    local start = ngx.now()

    for _ = 1, count do
        assert(call())
    end

    ngx.update_time()

    return count / (ngx.now() - start)
end


function _M.run(args)
    local bytes = ("x"):rep(tonumber(args.size))
    local count = tonumber(args.count)

    if args.socket then
        local socket = ngx.socket.tcp()
        assert(socket:connect("unix:" .. args.socket))

        return per_second(count, function()
            assert(socket:send(bytes))
            return socket:receive(#bytes)
        end)
    end

    local options = args.module and { module = args.module, affinity = args.affinity } or nil
    local runtime = assert(nffi.load(args.module and "node" or args.library, options))

    local call = args.method and { method = args.method }

    return per_second(count, function()
        return runtime:call(bytes, call)
    end)
end


return _M

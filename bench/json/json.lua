-- Times nffi's JSON and lua-cjson on the same values in turns; prints the best
-- of the rounds in microseconds and the ratio.


local decode = require("resty.nffi.json_decode").decode
local encode = require("resty.nffi.json_encode").encode
local found, cjson = pcall(require, "cjson")


if ngx.var.arg_jit == "off" then
    jit.off()
    jit.flush()
end


local function list(count, make)
    local items = {}

    for i = 1, count do
        items[i] = make(i)
    end

    return items
end


local function user(i)
    return { id = i, name = "user number " .. i, active = i % 2 == 0,
             email = "user" .. i .. "@example.com", score = i / 7,
             tags = { "alpha", "beta", "gamma" }, at = 1732900000123456 + i }
end


local VALUES = {
    { "small", { name = "World", n = 3 } },
    { "records", list(1000, user) },
    { "integers", list(10000, function(i) return i * 37 end) },
    { "money", list(10000, function(i) return i / 100 end) },
    { "doubles", list(10000, function(i) return i / 13 end) },
    { "text", ("lorem ipsum dolor "):rep(1000) },
    { "UTF-8", ("日本語テキスト"):rep(500) },
    { "escapes", ('say "hi"\n'):rep(2000) },
    { "16 MB", ("a"):rep(2 ^ 24) },
}

local ROUNDS, SECONDS = 5, 0.1


-- Microseconds for one call.
local function time(call, value)
    local count, start = 0, os.clock()

    repeat
        call(value)
        count = count + 1
    until os.clock() - start > SECONDS

    return (os.clock() - start) / count * 1e6
end


local function rivals(ours, theirs, value)
    local best = { math.huge, math.huge }

    for _ = 1, ROUNDS do
        best[1] = math.min(best[1], time(ours, value))
        best[2] = math.min(best[2], time(theirs, value))
    end

    return ("%12.1f %12.1f %6.2f"):format(best[1], best[2], best[1] / best[2])
end


if not found then
    ngx.print("lua-cjson is not installed: nothing to compare with\n")
    return
end

ngx.print(("%-10s %s   %s\n"):format("", "encode: nffi, lua-cjson, ratio",
                                     "decode: nffi, lua-cjson, ratio"))

for _, row in ipairs(VALUES) do
    local text = encode(row[2])

    ngx.print(("%-10s %s   %s\n"):format(row[1],
        rivals(encode, cjson.encode, row[2]),
        rivals(decode, cjson.decode, text)))
    ngx.flush(true)
end

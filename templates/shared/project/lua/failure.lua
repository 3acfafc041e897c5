-- What a failed call becomes: an entry in error.log for the operator, and a
-- status for the client, who learns nothing of the inside.

-- Anything else is 500.
local STATUS = {
    timeout = ngx.HTTP_GATEWAY_TIMEOUT,
    queue_full = ngx.HTTP_SERVICE_UNAVAILABLE,
    runtime_down = ngx.HTTP_SERVICE_UNAVAILABLE,
    exiting = ngx.HTTP_SERVICE_UNAVAILABLE,
}

local _M = {}

-- One line, and short: nginx cuts an entry after 2048 bytes, and the client and
-- the request are at its end.
local function short(text, limit)
    text = tostring(text):gsub("%s+$", ""):gsub("%s*%c+%s*", " | ")
    return #text > limit and text:sub(1, limit) .. "..." or text
end

-- Logs the failure with the request and ends the request: as 500, 503 or 504,
-- or by closing the connection where a part of the response is sent already.
-- Takes what a call of nffi returns after nil, and a status for errors of the
-- handler that shall not be 500.
function _M.respond(message, code, detail, status)
    local entry = short(message, 400) .. " (" .. tostring(code) .. ")"

    if detail ~= nil then
        entry = entry .. ": " .. short(detail, 1000)
    end

    -- a disconnected client is not an error
    ngx.log(code == "client_gone" and ngx.INFO or ngx.ERR, entry)

    if ngx.headers_sent then
        return ngx.exit(ngx.ERROR)
    end

    return ngx.exit(STATUS[code] or code == "runtime_error" and status
                    or ngx.HTTP_INTERNAL_SERVER_ERROR)
end

return _M

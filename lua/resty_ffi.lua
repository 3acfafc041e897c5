-- Code written for lua-resty-ffi requires this module first. lua-resty-core has
-- already installed both functions on ngx.


require "resty.core.nonblocking_ffi"


local ngx = ngx


return {
    load_ffi = ngx.load_ffi,
    load_nonblocking_ffi = ngx.load_nonblocking_ffi,
}

-- The module that code written for lua-resty-ffi requires first. lua-resty-core
-- has already put both functions on ngx.


require "resty.core.nonblocking_ffi"


local ngx = ngx


return {
    load_ffi = ngx.load_ffi,
    load_nonblocking_ffi = ngx.load_nonblocking_ffi,
}

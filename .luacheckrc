-- luacheck: the Lua of the product and of what it generates.
std = "ngx_lua+luajit"
max_line_length = 80
-- 581: not (x >= y) refuses NaN, too.
ignore = { "581" }
-- What nffi adds to ngx, and the function by which ngx_lua makes a coroutine wait.
files["lua"] = { globals = { "ngx" }, read_globals = { coroutine = { fields = { "_yield" } } } }
files["lua/types"] = { globals = { "ngx" }, ignore = { "241", "21.", "23." }, max_line_length = false }
files["**/*.d.lua"] = { ignore = { "241", "21.", "23." }, max_line_length = false }
files["templates/typescript/lua/app.lua"] = { max_line_length = 100 }

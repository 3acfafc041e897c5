---@meta _

-- Additions of nffi to the global `ngx`: the API of lua-resty-nonblocking-ffi.
-- Types for an editor; this file is never executed.


---@class nffi.OldRuntime
---Any name is the same call: true and bytes; false, a number and bytes; or nil, a code and why.
---@field [string] fun(self: nffi.OldRuntime, payload?: string|number): boolean?, any, string?

---@class nffi.OldOptions
---@field max_queue? integer
---@field max_tasks? integer
---@field arena? integer
---@field is_global? boolean
---@field unpin? boolean

---Loads a library of either public generation of the ABI.
---@param library string
---@param config? string
---@param options? nffi.OldOptions
---@return nffi.OldRuntime? runtime
---@return string? message
---@return nffi.ErrorCode? code
function ngx.load_nonblocking_ffi(library, config, options) end

---The same by its later name.
---@param library string
---@param config? string
---@param options? nffi.OldOptions
---@return nffi.OldRuntime? runtime
---@return string? message
---@return nffi.ErrorCode? code
function ngx.load_ffi(library, config, options) end

---@meta _

-- Made by `nffi types` from ../src/handlers.ts: the types of its handlers, for the editor.
-- Never executed. Do not edit it: run `nffi types` again when the handlers change.

---The runtime that `nffi.load("node", { module = ... })` returns for ../src/handlers.ts:
---`local rt = assert(nffi.load(...)) --[[@as Handlers]]`
---@class Handlers: nffi.Runtime
---@field methods Handlers.Methods
---@field streams Handlers.Streams
local runtime = {}

---@class Handlers.Methods
local methods = {}

---@param value Handlers.HelloRequest
---@param options? nffi.CallOptions
---@return Handlers.HelloResponse? value
---@return string? message
---@return nffi.ErrorCode? code
---@return string|integer|nil detail
function methods:hello(value, options) end

---`signal` aborts when the call is cancelled: client disconnected, timeout.
---@param value Handlers.WaitRequest
---@param options? nffi.CallOptions
---@return Handlers.WaitResponse? value
---@return string? message
---@return nffi.ErrorCode? code
---@return string|integer|nil detail
function methods:wait(value, options) end

---@class Handlers.Streams
local streams = {}

---@class Handlers.HelloRequest
---@field name string

---@class Handlers.HelloResponse
---@field greeting string

---@class Handlers.WaitRequest
---@field ms number

---@class Handlers.WaitResponse
---@field waited number

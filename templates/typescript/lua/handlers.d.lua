---@meta _

-- Made by `nffi types` from ../src/handlers.ts: the types of its handlers, for the editor.
-- Nobody runs it. Do not change it: make it again when the handlers have changed.

---What `nffi.load("node", { module = ... })` gives for ../src/handlers.ts:
---`local rt = assert(nffi.load(...)) --[[@as Handlers]]`
---@class Handlers: nffi.Runtime
---@field methods Handlers.Methods
---@field streams Handlers.Streams
local runtime = {}

---@class Handlers.Methods
local methods = {}

---@param value Handlers.HelloRequest
---@param options? nffi.CallOptions
---@return Handlers.HelloReply? value
---@return string? message
---@return nffi.ErrorCode? code
---@return string|integer|nil detail
function methods:hello(value, options) end

---`signal` aborts when nobody waits for the answer any more: the client is gone, time is up.
---@param value Handlers.WaitRequest
---@param options? nffi.CallOptions
---@return Handlers.WaitReply? value
---@return string? message
---@return nffi.ErrorCode? code
---@return string|integer|nil detail
function methods:wait(value, options) end

---@class Handlers.Streams
local streams = {}

---@class Handlers.HelloRequest
---@field name string

---@class Handlers.HelloReply
---@field greeting string

---@class Handlers.WaitRequest
---@field ms number

---@class Handlers.WaitReply
---@field waited number

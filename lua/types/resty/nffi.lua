---@meta resty.nffi

-- The types of resty.nffi for an editor (LuaLS annotations); this file is never
-- executed. `nffi build` installs it as PREFIX/nffi/lua-types/resty/nffi.lua,
-- for "workspace.library" of a .luarc.json. docs/lua.md describes each option
-- in full.


---JSON null, in both directions: `ngx.null`.
---@alias nffi.Null userdata

---The third result of a failed call.
---@alias nffi.ErrorCode
---| "runtime_error" # the handler failed; the detail is its stack or number
---| "timeout" # the call has timed out
---| "queue_full" # too many calls wait or have no response
---| "closed" # the runtime or the stream was closed
---| "runtime_down" # the process has ended or could not start
---| "exiting" # the worker exits
---| "codec_error" # the value cannot be encoded, or the response cannot be decoded
---| "busy" # another coroutine reads the stream
---| "wrong_request" # the stream belongs to another request
---| "wrong_thread" # inside ngx.run_worker_thread
---| "wrong_phase" # Lua cannot yield here
---| "wrong_process" # loading in the master or a helper process
---| "wrong_event_method" # nginx runs with `use poll` or `use select`
---| "unsupported_nginx" # attached: a self-test failed in this nginx
---| "no_language" # the product was built without Java; the message says why
---| "no_library" # the library cannot be opened
---| "no_entry" # the library has no entry that nffi knows
---| "no_program" # there is no Node, Python or Java that the user may execute
---| "abi_mismatch" # the library or process was built for another ABI
---| "load_failed" # the library failed to start, or the process cannot be started
---| "not_permitted" # `user` or a negative `nice` in a worker that does not run as root
---| "not_reloadable" # a library cannot be loaded again from the same path
---| "reloading" # another reload is in progress
---| "reload_failed" # the new code cannot be loaded, the old code stays in use
---| "client_gone" # the client of the request that reads the stream has disconnected
---| "no_memory" # out of memory or descriptors
---| "invalid" # the payload or the method's name is too long

---Converts values to bytes and back; each function returns its result, or nil and an error.
---@class nffi.Codec
---@field encode fun(value: any): string?, string?
---@field decode fun(bytes: string): any, string?
---@field name? string

---@class nffi.CallOptions
---Milliseconds after which the call times out; 0: never.
---@field timeout? number

---@class nffi.RuntimeCallOptions: nffi.CallOptions
---The name of a method.
---@field method? string

---@class nffi.StreamOptions
---Milliseconds for each chunk; 0: no limit. The default limits the first one.
---@field timeout? number
---The limit of unread bytes.
---@field window? integer

---@class nffi.RuntimeStreamOptions: nffi.StreamOptions
---The name of a method.
---@field method? string

---A response in chunks. It is its own iterator: `for chunk in stream do`.
---@class nffi.Stream
---@overload fun(): any
local stream = {}

---Returns the next chunk; nil at the end; nil and the error after a failure.
---@return any chunk
---@return string? message
---@return nffi.ErrorCode? code
---@return string|integer|nil detail
function stream:read() end

---Returns the error that ended the stream, or nothing.
---@return string? message
---@return nffi.ErrorCode? code
---@return string|integer|nil detail
function stream:error() end

---Ends the stream, cancels its call and discards unread chunks.
function stream:close() end

---@class nffi.Methods
---@field [string] fun(self: nffi.Methods, value?: any, options?: nffi.CallOptions): any, string?, nffi.ErrorCode?, string|integer|nil

---@class nffi.Streams
---@field [string] fun(self: nffi.Streams, value?: any, options?: nffi.StreamOptions): nffi.Stream

---@class nffi.State
---@field queued integer
---@field unanswered integer
---@field awaited integer
---@field bytes integer
---@field refused integer
---@field closed boolean

---@class nffi.Runtime
---Any method of the runtime: `rt.methods:name(value, options)`.
---@field methods nffi.Methods
---The same in chunks: `for chunk in rt.streams:name(value) do`.
---@field streams nffi.Streams
local runtime = {}

---Sends bytes and returns bytes.
---@param payload? string|number
---@param options? nffi.RuntimeCallOptions
---@return string? bytes
---@return string? message
---@return nffi.ErrorCode? code
---@return string|integer|nil detail
function runtime:call(payload, options) end

---Sends bytes and reads the response in chunks.
---@param payload? string|number
---@param options? nffi.RuntimeStreamOptions
---@return nffi.Stream stream
function runtime:stream(payload, options) end

---Stops new calls. Calls in flight still get their responses.
function runtime:close() end

---Reloads the code without a reload of nginx; `library`: the new file of a native library.
---@param options? { library?: string }
---@return true? done
---@return string? message
---@return nffi.ErrorCode? code
function runtime:reload(options) end

---What the queue holds now.
---@return nffi.State
function runtime:state() end


---@class nffi.CommonOptions
---The runtime's configuration.
---@field config? any
---How values of methods are converted to bytes.
---@field codec? "json"|"raw"|nffi.Codec
---Milliseconds after which a call times out (60000); 0: never.
---@field timeout? number
---Calls that may wait for the runtime.
---@field max_queue? integer
---Calls that may be waiting or running.
---@field max_tasks? integer
---Bytes of shared memory for requests, and as many for responses.
---@field arena? integer
---Bytes of requests that may be unanswered, 1 to 1073741824.
---@field max_bytes? integer
---Microseconds for which both sides spin at most before they sleep.
---@field spin? integer

---@class nffi.LibraryOptions: nffi.CommonOptions
---@field config? string|table
---Its symbols are seen by libraries loaded later.
---@field is_global? boolean
---@field unpin? boolean

---@class nffi.Limits
---Bytes.
---@field memory? integer
---@field files? integer
---Seconds.
---@field cpu? integer
---Bytes.
---@field core? integer

---@class nffi.Health
---Milliseconds.
---@field interval? integer
---Milliseconds.
---@field timeout? integer

---@class nffi.HostingOptions: nffi.CommonOptions
---Environment variables; the process gets these and a PATH.
---@field env? table<string, string|number>
---The working directory, absolute or relative to the nginx prefix.
---@field directory? string
---@field affinity? "all"|"inherit"
---Milliseconds until the process must serve.
---@field start_timeout? integer
---The number of processes in each worker.
---@field processes? integer
---The resource limits of a process.
---@field limits? nffi.Limits
---The user that the processes run as.
---@field user? string
---@field nice? integer
---Kills and restarts a process that hangs.
---@field health? nffi.Health
---When the processes start: with `load` (default), or with the first call.
---@field start? "load"|"first_call"
---Milliseconds without a call until the processes stop; the next call starts them.
---@field idle_timeout? integer

---@class nffi.NodeOptions: nffi.HostingOptions
---The file, absolute or relative to the nginx prefix.
---@field module string
---The absolute path of the Node to run.
---@field program? string
---Options for Node.
---@field node_args? string[]
---Worker threads that serve the calls, for work that keeps a CPU busy.
---@field threads? integer
---Whether each process listens for a debugger, or on which port (0: any).
---@field inspect? boolean|integer
---The directory for CPU profiles and heap snapshots, which signals start.
---@field profile_dir? string

---A language with a virtual machine.
---@class nffi.BridgeOptions: nffi.HostingOptions
---The module, in the syntax of the language.
---@field module string
---The function or method of the module.
---@field handler? string
---Where the runtime runs: in a process (default), or in the worker.
---@field host? "process"|"worker"
---The absolute path of the program to run.
---@field program? string

---@class nffi.PythonOptions: nffi.BridgeOptions
---Additional directories with modules: one or a list.
---@field path? string|string[]
---Options for a Python process, such as { "-X", "dev" }.
---@field python_args? string[]
---@field threads? integer

---@class nffi.JavaOptions: nffi.BridgeOptions
---Jars and directories of classes: a list, or one string with colons.
---@field classpath? string|string[]
---Options for the virtual machine. A worker has one: those of its first runtime.
---@field jvm_args? string[]
---Threads that run handlers.
---@field threads? integer|"virtual"

---@class nffi.ProcessOptions: nffi.HostingOptions
---@field config? string|table
---The program, absolute or relative to the nginx prefix.
---@field program string
---Arguments for the program.
---@field args? (string|number)[]


---@class nffi.Histogram
---@field count integer
---Seconds.
---@field sum number
---@field buckets { le: number, count: integer }[]

---@class nffi.ProcessMetrics
---@field pid? integer
---@field state "ready"|"starting"|"stopping"|"idle"|"down"
---@field restarts integer
---@field queued integer
---@field unanswered integer
---@field shared_bytes integer

---@class nffi.RuntimeMetrics
---@field name string
---@field id string
---@field kind "process"|"library"
---@field calls integer
---@field answers integer
---@field errors table<nffi.ErrorCode, integer>
---@field rejected table<nffi.ErrorCode, integer>
---@field refused { answered_twice: integer, unknown_task: integer }
---@field timeouts integer
---@field cancelled integer
---@field queued integer
---@field unanswered integer
---@field awaited integer
---@field bytes integer
---@field shared_bytes integer
---@field restarts integer
---@field idle_stops integer
---@field processes nffi.ProcessMetrics[]
---@field wait nffi.Histogram
---@field run nffi.Histogram

---@class nffi.Metrics
---@field worker { id: integer, pid: integer }
---@field kept integer  # closed libraries whose queue stays in memory
---@field runtimes nffi.RuntimeMetrics[]


local nffi = {
    _VERSION = "",
    ---JSON's null, which is `ngx.null`.
    ---@type nffi.Null
    null = nil,
    ---A table with this metatable is a list in JSON.
    ---@type table
    array_mt = {},
    ---A table with this metatable is a list in JSON while it is empty.
    ---@type table
    empty_array_mt = {},
}

---Loads a runtime, or finds the one of the same arguments: `"node"` (a module
---in TypeScript or JavaScript), `"python"`, `"java"`, `"process"` (a program), or a native
---library, by name or path.
---@overload fun(name: "node", options: nffi.NodeOptions): nffi.Runtime?, string?, nffi.ErrorCode?
---@overload fun(name: "python", options: nffi.PythonOptions): nffi.Runtime?, string?, nffi.ErrorCode?
---@overload fun(name: "java", options: nffi.JavaOptions): nffi.Runtime?, string?, nffi.ErrorCode?
---@overload fun(name: "process", options: nffi.ProcessOptions): nffi.Runtime?, string?, nffi.ErrorCode?
---@param name string
---@param options? nffi.LibraryOptions
---@return nffi.Runtime? runtime
---@return string? message
---@return nffi.ErrorCode? code
function nffi.load(name, options) end

---Returns the metrics of the runtimes of this worker; as text for Prometheus with "prometheus".
---@overload fun(kind: "prometheus"): string
---@return nffi.Metrics
function nffi.metrics() end

return nffi

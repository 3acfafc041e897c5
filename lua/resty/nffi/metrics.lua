-- Reports the calls of this worker's runtimes, as a table or in Prometheus's
-- text format. The glue counts; this file reads and prints.


local abi = require "resty.nffi.abi"
local ffi = require "ffi"
local runtimes = require "resty.nffi.runtimes"


local C = abi.C
local concat = table.concat
local ffi_string = ffi.string
local format = string.format
local ipairs = ipairs
local ngx = ngx
local tonumber = tonumber


ffi.cdef[[
typedef struct {
    uint64_t         count;
    uint64_t         sum_ns;
    uint64_t         buckets[28];
} nffi_host_histogram_t;

typedef struct {
    uint64_t               calls;
    uint64_t               answers;
    uint64_t               timeouts;
    uint64_t               cancelled;
    uint64_t               restarts;
    uint64_t               idle_stops;
    uint64_t               errors[7];
    uint64_t               rejected[7];
    uint64_t               refused[2];
    nffi_host_histogram_t  wait;
    nffi_host_histogram_t  run;
} ngx_http_lua_nffi_counts_t;

typedef struct {
    int32_t          pid;
    uint32_t         queued;
    uint32_t         unanswered;
    uint64_t         restarts;
    uint64_t         shared_bytes;
    const char      *state;
} ngx_http_lua_nffi_process_info_t;

uint32_t ngx_http_lua_nonblocking_ffi_kept(void);
void *ngx_http_lua_nonblocking_ffi_next(void *runtime);
const char *ngx_http_lua_nonblocking_ffi_code(uint32_t index);
const ngx_http_lua_nffi_counts_t *ngx_http_lua_nonblocking_ffi_counts(
    void *runtime);
int ngx_http_lua_nonblocking_ffi_process(void *runtime, uint32_t index,
    ngx_http_lua_nffi_process_info_t *info);
]]


local CODES = 7
local MISUSES = { "answered_twice", "unknown_task" }
local FIRST_BUCKET_NS = 1024
local BUCKETS = 28
local INFINITE = 1 / 0


local info = ffi.new("ngx_http_lua_nffi_process_info_t")


local _M = {}


local function by_code(counts)
    local codes = {}

    for i = 0, CODES - 1 do
        codes[ffi_string(C.ngx_http_lua_nonblocking_ffi_code(i))] =
            tonumber(counts[i])
    end

    return codes
end


local function by_kind(counts)
    local kinds = {}

    for i, kind in ipairs(MISUSES) do
        kinds[kind] = tonumber(counts[i - 1])
    end

    return kinds
end


-- Returns a histogram in seconds. A bucket counts the values up to `le`,
-- including those of smaller buckets. The last one has le = math.huge and
-- counts all values.
local function histogram(measured)
    local buckets, sum, le = {}, 0, FIRST_BUCKET_NS

    for i = 0, BUCKETS - 1 do
        sum = sum + tonumber(measured.buckets[i])
        buckets[i + 1] = {
            le = i < BUCKETS - 1 and le / 1e9 or INFINITE,
            count = sum,
        }
        le = le * 2
    end

    return {
        count = sum,
        sum = tonumber(measured.sum_ns) / 1e9,
        buckets = buckets,
    }
end


local function processes_of(pointer)
    local processes, index = {}, 0

    while C.ngx_http_lua_nonblocking_ffi_process(pointer, index, info) == 0 do
        index = index + 1
        processes[index] = {
            pid = info.pid ~= 0 and info.pid or nil,
            state = ffi_string(info.state),
            restarts = tonumber(info.restarts),
            queued = info.queued,
            unanswered = info.unanswered,
            shared_bytes = tonumber(info.shared_bytes),
        }
    end

    return processes
end


local function sum(list, field)
    local all = 0

    for _, entry in ipairs(list) do
        all = all + entry[field]
    end

    return all
end


local function measure(pointer)
    local counts = C.ngx_http_lua_nonblocking_ffi_counts(pointer)
    local state = runtimes.state(pointer)
    local processes = processes_of(pointer)

    local identity = runtimes.identity(pointer)

    return {
        name = ffi_string(identity.name, identity.name_size),
        id = format("%08x", identity.id),
        kind = identity.process ~= 0 and "process" or "library",
        closed = state.closed,
        queued = state.queued,
        unanswered = state.unanswered,
        awaited = state.awaited,
        bytes = state.bytes,
        calls = tonumber(counts.calls),
        answers = tonumber(counts.answers),
        timeouts = tonumber(counts.timeouts),
        cancelled = tonumber(counts.cancelled),
        restarts = tonumber(counts.restarts),
        idle_stops = tonumber(counts.idle_stops),
        errors = by_code(counts.errors),
        rejected = by_code(counts.rejected),
        refused = by_kind(counts.refused),
        wait = histogram(counts.wait),
        run = histogram(counts.run),
        shared_bytes = sum(processes, "shared_bytes"),
        processes = processes,
    }
end


-- Returns { worker = { id =, pid = }, kept =, runtimes = { ... } }; see
-- docs/lua.md. Works in every phase. The list is empty in a process that cannot
-- have runtimes.
function _M.read()
    local list = {}
    local pointer = C and C.ngx_http_lua_nonblocking_ffi_next(nil) or nil

    while pointer ~= nil do
        list[#list + 1] = measure(pointer)
        pointer = C.ngx_http_lua_nonblocking_ffi_next(pointer)
    end

    return {
        -- a VM of ngx.run_worker_thread() has none
        worker = ngx.worker and { id = ngx.worker.id(),
                                  pid = ngx.worker.pid() } or {},
        kept = C and C.ngx_http_lua_nonblocking_ffi_kept() or 0,
        runtimes = list,
    }
end


local ESCAPES = { ["\\"] = "\\\\", ["\n"] = "\\n", ["\""] = "\\\"" }


local function label(name, value)
    return name .. "=\"" .. value:gsub("[\\\n\"]", ESCAPES) .. "\""
end


-- Integers are exact; durations have nanoseconds.
local function number(value)
    if value == INFINITE then
        return "+Inf"
    end

    if value % 1 == 0 then
        return format("%.0f", value)
    end

    return (format("%.9f", value):gsub("0+$", ""))
end


local function add(lines, name, labels, value)
    lines[#lines + 1] = name .. "{" .. labels .. "} " .. number(value)
end


local function add_by_code(lines, name, labels, codes)
    for i = 0, CODES - 1 do
        local code = ffi_string(C.ngx_http_lua_nonblocking_ffi_code(i))

        add(lines, name, labels .. "," .. label("code", code), codes[code])
    end
end


local function add_by_kind(lines, name, labels, kinds)
    for _, kind in ipairs(MISUSES) do
        add(lines, name, labels .. "," .. label("kind", kind), kinds[kind])
    end
end


local function add_histogram(lines, name, labels, measured)
    for _, bucket in ipairs(measured.buckets) do
        add(lines, name .. "_bucket",
            labels .. "," .. label("le", number(bucket.le)), bucket.count)
    end

    add(lines, name .. "_sum", labels, measured.sum)
    add(lines, name .. "_count", labels, measured.count)
end


local STATES = { "ready", "starting", "stopping", "idle", "down" }


local function add_states(lines, name, labels, processes)
    for _, state in ipairs(STATES) do
        local count = 0

        for _, process in ipairs(processes) do
            if process.state == state then
                count = count + 1
            end
        end

        add(lines, name, labels .. "," .. label("state", state), count)
    end
end


-- field, name, type, help, and the function that prints its lines
local FAMILIES = {
    { "calls", "nffi_calls_total", "counter",
      "Calls that were made, rejected ones included." },
    { "answers", "nffi_answers_total", "counter",
      "Calls with a response that is not an error." },
    { "errors", "nffi_errors_total", "counter",
      "Calls that failed after they were queued, by code.", add_by_code },
    { "rejected", "nffi_rejected_total", "counter",
      "Calls that were rejected before they were queued, by code.",
      add_by_code },
    { "refused", "nffi_refused_total", "counter",
      "Responses of the runtime that were refused, by kind.", add_by_kind },
    { "timeouts", "nffi_timeouts_total", "counter",
      "Calls that timed out." },
    { "cancelled", "nffi_cancelled_total", "counter",
      "Calls whose caller disconnected or was killed." },
    { "restarts", "nffi_restarts_total", "counter",
      "Restarts of processes." },
    { "idle_stops", "nffi_idle_stops_total", "counter",
      "Times that idle processes were stopped." },
    { "queued", "nffi_queued", "gauge",
      "Calls that wait for the runtime." },
    { "unanswered", "nffi_unanswered", "gauge",
      "Calls that wait or run, cancelled ones included." },
    { "awaited", "nffi_awaited", "gauge",
      "Calls that Lua waits for." },
    { "bytes", "nffi_request_bytes", "gauge",
      "Bytes of the requests of unanswered calls." },
    { "shared_bytes", "nffi_shared_bytes", "gauge",
      "Shared memory of the processes of the runtime." },
    { "processes", "nffi_processes", "gauge",
      "Processes of the runtime, by state.", add_states },
    { "wait", "nffi_wait_seconds", "histogram",
      "Time from when a call was queued until the runtime took it.",
      add_histogram },
    { "run", "nffi_run_seconds", "histogram",
      "Time from when the runtime took a call until it responded.",
      add_histogram },
}


-- The same in Prometheus's text format, version 0.0.4.
function _M.prometheus()
    local metrics = _M.read()
    local lines = {}
    local worker = label("worker", format("%d", metrics.worker.id or -1))

    for _, family in ipairs(FAMILIES) do
        local field, name, kind, help = family[1], family[2], family[3],
                                        family[4]
        local add_lines = family[5] or add

        lines[#lines + 1] = "# HELP " .. name .. " " .. help
        lines[#lines + 1] = "# TYPE " .. name .. " " .. kind

        for _, runtime in ipairs(metrics.runtimes) do
            add_lines(lines, name, worker .. ","
                                   .. label("runtime", runtime.name) .. ","
                                   .. label("id", runtime.id),
                      runtime[field])
        end
    end

    lines[#lines + 1] = "# HELP nffi_kept_queues "
                        .. "Queues of closed libraries that stay in memory."
    lines[#lines + 1] = "# TYPE nffi_kept_queues gauge"
    add(lines, "nffi_kept_queues", worker, metrics.kept)

    return concat(lines, "\n") .. "\n"
end


return _M

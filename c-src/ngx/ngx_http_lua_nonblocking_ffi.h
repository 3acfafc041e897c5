/*
 * ngx_http_lua_nonblocking_ffi.h - the glue between ngx_lua and libnffi: what
 * Lua calls by FFI, and what the glue's files share.
 *
 * All of it runs in the event loop of one worker, but for
 * ngx_http_lua_nffi_wake(), which the threads of a runtime call.
 */

#ifndef _NGX_HTTP_LUA_NONBLOCKING_FFI_H_INCLUDED_
#define _NGX_HTTP_LUA_NONBLOCKING_FFI_H_INCLUDED_


#include "ngx_http_lua_nffi_coroutine.h"

#include <nffi.h>
#include <host/nffi_host.h>
#include <shared/nffi_spin.h>

#include <signal.h>


typedef struct ngx_http_lua_nffi_runtime_s  ngx_http_lua_nffi_runtime_t;
typedef struct ngx_http_lua_nffi_instance_s  ngx_http_lua_nffi_instance_t;
typedef struct ngx_http_lua_nffi_process_s  ngx_http_lua_nffi_process_t;
typedef struct ngx_http_lua_nffi_program_s  ngx_http_lua_nffi_program_t;
typedef struct ngx_http_lua_nffi_call_s  ngx_http_lua_nffi_call_t;


/* how a task's answer, or why there is none, reaches who wants it */

typedef struct {
    /* takes the response over; the call may be gone afterwards */
    void  (*deliver)(ngx_http_lua_nffi_call_t *call,
                     nffi_host_response_t *response);

    /* its task is cancelled; the call may be gone afterwards */
    void  (*fail)(ngx_http_lua_nffi_call_t *call, ngx_str_t *message,
                  const char *code);

    /* the coroutine that waited is gone */
    void  (*abort)(ngx_http_lua_nffi_call_t *call);
} ngx_http_lua_nffi_call_ops_t;


/* a call that waits for its response; owned by the glue, recycled */

struct ngx_http_lua_nffi_call_s {
    ngx_http_lua_nffi_waiter_t     waiter;
    const ngx_http_lua_nffi_call_ops_t  *ops;
    ngx_http_lua_nffi_instance_t  *instance;
    nffi_host_t                   *host;
    nffi_task_t                    task;
    ngx_event_t                    timeout;
    uint64_t                       deadline_ns;  /* CLOCK_MONOTONIC; 0: none */
    uint32_t                       mark;     /* of responses to look at first */
    unsigned                       marked:1;
    ngx_http_lua_nffi_call_t      *next;     /* in the free list */
};


typedef struct {
    uint32_t                       max_queue;
    uint32_t                       max_tasks;
    uint32_t                       arena;      /* bytes, each way */
    uint32_t                       start_timeout;  /* ms, of a process */
    uint32_t                       spin_us;    /* see nffi_spin.h */
    uint32_t                       is_global;
} ngx_http_lua_nffi_limits_t;


/* lines of one source for the error log, in the second that began at `start` */

#define NGX_HTTP_LUA_NFFI_LINES    1000     /* more are dropped, and counted */

typedef struct {
    ngx_str_t                      name;     /* of the runtime */
    ngx_msec_t                     start;
    ngx_uint_t                     lines;
    ngx_uint_t                     dropped;
    ngx_event_t                    told;     /* when no line comes any more */
} ngx_http_lua_nffi_rate_t;


/* what differs between a library and a process */

typedef struct {
    /* NGX_OK; NGX_AGAIN: calls are taken later; NGX_ERROR: `err` says why it
       takes none */
    ngx_int_t  (*available)(ngx_http_lua_nffi_instance_t *inst,
                            ngx_http_lua_nffi_error_t *err);

    /* no new calls; what waits is still answered */
    void       (*close)(ngx_http_lua_nffi_instance_t *inst);

    /* the runtime broke the rules of the queue */
    void       (*broken)(ngx_http_lua_nffi_instance_t *inst);

    /* of one that was closed: NGX_OK: nothing is left; NGX_AGAIN: something
       uses it, and tells; NGX_BUSY: try again soon */
    ngx_int_t  (*free)(ngx_http_lua_nffi_instance_t *inst);

    /* of its process; 0: a library */
    ngx_pid_t  (*pid)(ngx_http_lua_nffi_instance_t *inst);
} ngx_http_lua_nffi_instance_ops_t;


/*
 * One queue and who serves it: the threads of a library, or a process. Freed
 * by _reap.c once it is closed and no thread, call or event uses it.
 */

struct ngx_http_lua_nffi_instance_s {
    ngx_queue_t                    queue;    /* in one list of its runtime */
    ngx_http_lua_nffi_runtime_t   *runtime;
    const ngx_http_lua_nffi_instance_ops_t  *ops;

    nffi_host_t                   *host;     /* NULL: no queue now */
    ngx_uint_t                     awaited;  /* calls that wait */

    ngx_http_lua_nffi_process_t   *process;  /* NULL: in this process */
    void                          *library;  /* dlopen()ed, or NULL */

    ngx_thread_task_t              wake_task;   /* posted by its threads */
    ngx_atomic_t                   woken;       /* wake_task is on its way */
    ngx_event_t                    drain;       /* the next turn, or look */
    nffi_spinner_t                 spinner;
    ngx_event_t                    alive;       /* keeps a leaving worker */
    ngx_msec_t                     drain_until; /* 0: the worker stays */
    ngx_http_lua_nffi_rate_t       rate;        /* of its messages */
    uint32_t                       taken;       /* calls, at the last look */
    ngx_msec_t                     idle_since;  /* calls wait, none is taken */

    ngx_queue_t                    reap;        /* of those that have ended */
    ngx_atomic_t                   unused;      /* set by the last thread */
    ngx_event_t                    kept;        /* it is not freed in time */

    unsigned                       draining:1;
    unsigned                       broken:1;    /* a library's queue */
    unsigned                       reaping:1;
    unsigned                       end_asked:1; /* `unused` will be set */
    unsigned                       kept_counted:1;
    unsigned                       waiting:1;   /* calls, at the last look */
    unsigned                       stalled:1;   /* that was logged */
    unsigned                       closed:1;    /* takes no new calls */
    unsigned                       starting:1;  /* of a reload */
    unsigned                       exiting:1;   /* drain_until is of the
                                                   worker's end */
};


/* what became of calls; Lua reads it, and so does resty.nffi.metrics */

#define NGX_HTTP_LUA_NFFI_CODES    7

typedef struct {
    uint64_t                       calls;    /* answers, errors, rejected,
                                                timeouts, cancelled, and those
                                                that wait, make it up */
    uint64_t                       answers;
    uint64_t                       timeouts;
    uint64_t                       cancelled;
    uint64_t                       restarts; /* of processes */
    uint64_t                       errors[NGX_HTTP_LUA_NFFI_CODES];
    uint64_t                       rejected[NGX_HTTP_LUA_NFFI_CODES];
    uint64_t                       refused[NFFI_HOST_MISUSES];
    nffi_host_times_t              times;
} ngx_http_lua_nffi_counts_t;


typedef struct {
    const u_char                  *name;
    size_t                         name_size;
    uint32_t                       id;       /* the same in every worker */
    uint32_t                       process;  /* 0: a library in the worker */
} ngx_http_lua_nffi_identity_t;


typedef struct {
    int32_t                        pid;      /* 0: none now */
    uint32_t                       queued;
    uint32_t                       unanswered;
    uint64_t                       restarts;
    const char                    *state;    /* static, NUL-terminated */
} ngx_http_lua_nffi_process_info_t;


typedef enum {
    NGX_HTTP_LUA_NFFI_RELOADING = 0,
    NGX_HTTP_LUA_NFFI_RELOADED,
    NGX_HTTP_LUA_NFFI_RELOAD_FAILED
} ngx_http_lua_nffi_reload_e;


/* one reload; Lua asks how it goes, and frees it. One that is under way is its
   runtime's, too. */

typedef struct {
    ngx_http_lua_nffi_runtime_t   *runtime;
    ngx_http_lua_nffi_reload_e     state;
    ngx_http_lua_nffi_error_t      reason;   /* of a failure */
    unsigned                       freed:1;  /* by Lua, while under way */
} ngx_http_lua_nffi_reload_t;


/* library + configuration; freed by _reap.c once it is closed, has no instances
   and Lua has no pointer to it */

struct ngx_http_lua_nffi_runtime_s {
    ngx_str_node_t                 node;     /* by key, until it is closed */
    ngx_queue_t                    queue;    /* in the registry */
    ngx_queue_t                    reap;     /* of those that are closed */
    ngx_uint_t                     handles;  /* pointers that Lua has */
    ngx_str_t                      key;
    uint32_t                       id;       /* a checksum of the key */
    ngx_str_t                      name;     /* for messages */

    ngx_queue_t                    serving;  /* instances for new calls */
    ngx_queue_t                    starting; /* of a reload, not yet ready */
    ngx_queue_t                    leaving;  /* closed, with calls left */
    ngx_queue_t                    ended;    /* to be freed */

    ngx_http_lua_nffi_program_t   *program;  /* NULL: a native library */
    ngx_http_lua_nffi_counts_t     counts;
    ngx_http_lua_nffi_limits_t     limits;

    ngx_http_lua_nffi_reload_t    *reload;   /* under way, or NULL */

    unsigned                       bridged:1;   /* `name` is of a module */
    unsigned                       closed:1;
    unsigned                       failed:1;    /* to start: Lua never had it */
    unsigned                       misused:2;   /* kinds that were logged */
};


/* what processes of a runtime that failed to start have said, so that the next
   one that fails in the same way does not say it again */

#define NGX_HTTP_LUA_NFFI_KNOWN    64       /* lines */

typedef struct {
    uint32_t                       lines[NGX_HTTP_LUA_NFFI_KNOWN];  /* hashes */
    ngx_uint_t                     count;
    uint32_t                       reason;   /* the last one: its hash */
    time_t                         since;
} ngx_http_lua_nffi_known_t;


/* the last error that a process wrote */

typedef struct {
    size_t                         size;
    u_char                         text[512];
    ngx_http_lua_nffi_known_t     *known;    /* NULL: it has started */

    /* the last stack that was logged: its hash, who said it, and when */
    u_char                         stack[8];
    ngx_int_t                      stack_pid;
    ngx_int_t                      silent_pid;  /* whose stack is left out */
    time_t                         stack_time;
} ngx_http_lua_nffi_last_words_t;


/* lines from a pipe of a process on their way to the error log */

#define NGX_HTTP_LUA_NFFI_LINE     4096     /* longer lines are split */

typedef struct {
    ngx_http_lua_nffi_rate_t       rate;
    ngx_uint_t                     level;      /* of unmarked lines */
    ngx_http_lua_nffi_last_words_t  *last_words;
    size_t                         size;
    u_char                         line[NGX_HTTP_LUA_NFFI_LINE];
} ngx_http_lua_nffi_output_t;


/* what a process is started with, and how it is looked after; all of it is the
   caller's */

#define NGX_HTTP_LUA_NFFI_UNLIMITED  UINT64_MAX

typedef struct {
    const char                    *name;       /* of the runtime */
    const char                   **programs;   /* absolute; the first that can
                                                  be executed is */
    const char                   **argv;
    const char                   **envp;
    const char                    *config;     /* NULL: none */
    size_t                         config_size;
    const char                    *directory;  /* NULL: nginx's own */
    const char                    *user;       /* NULL: the worker's */
    uint32_t                       flags;      /* NFFI_RESET_CPUS */
    uint32_t                       processes;
    int32_t                        nice;       /* 0: the worker's */
    uint32_t                       health_interval;  /* ms, 0: never asked */
    uint32_t                       health_timeout;   /* ms */
    uint64_t                       memory;     /* bytes; or UNLIMITED, which */
    uint64_t                       files;      /* leaves what the worker has */
    uint64_t                       cpu;        /* seconds */
    uint64_t                       core;       /* bytes */
} ngx_http_lua_nffi_process_options_t;


/* what Lua reads of a stream: a chunk, or why there is none; valid until it
   reads again */

typedef struct {
    const u_char                  *data;     /* a chunk, or a message */
    size_t                         size;
    const u_char                  *detail;   /* NULL: none */
    size_t                         detail_size;
    const char                    *code;     /* static, NUL-terminated */
    int32_t                        rc;       /* 0: `code` tells */
} ngx_http_lua_nffi_read_t;


/* one turn of the event loop resumes at most so many coroutines of a runtime,
   so that a fast one does not starve timers and sockets */
#define NGX_HTTP_LUA_NFFI_TURN         256

/* and takes at most so many bytes, and one response, since each is copied */
#define NGX_HTTP_LUA_NFFI_TURN_BYTES   1048576

/* and takes at most so many messages for the log: as many as the queue holds */
#define NGX_HTTP_LUA_NFFI_MESSAGES     256

#define NGX_HTTP_LUA_NFFI_DRAIN_LIMIT  30000    /* ms */

/* a worker that leaves waits so long for those that work on what nobody waits
   for, so that they hear of it */
#define NGX_HTTP_LUA_NFFI_FAREWELL     100      /* ms */


/* what is put back when a library has started */

#define NGX_HTTP_LUA_NFFI_NSIGNALS     12

typedef struct {
    struct sigaction              handlers[NGX_HTTP_LUA_NFFI_NSIGNALS];
} ngx_http_lua_nffi_shield_t;


/* shared by the glue's files */

typedef void (*ngx_http_lua_nffi_instance_handler_pt)(
    ngx_http_lua_nffi_instance_t *inst, void *data);

void ngx_http_lua_nffi_each_instance(
    ngx_http_lua_nffi_instance_handler_pt handler, void *data);
ngx_http_lua_nffi_runtime_t *ngx_http_lua_nffi_register(ngx_str_t *key,
    ngx_str_t *name);
ngx_http_lua_nffi_runtime_t *ngx_http_lua_nffi_lookup(const u_char *key,
    size_t key_size);
void *ngx_http_lua_nffi_handle(ngx_http_lua_nffi_runtime_t *rt);
void ngx_http_lua_nffi_close_runtime(ngx_http_lua_nffi_runtime_t *rt);
void ngx_http_lua_nffi_close_runtimes(void);
void ngx_http_lua_nffi_release(ngx_http_lua_nffi_runtime_t *rt);
void ngx_http_lua_nffi_registry_init(void);
ngx_uint_t ngx_http_lua_nffi_has_registry(void);
ngx_http_lua_nffi_runtime_t *ngx_http_lua_nffi_next_runtime(
    ngx_http_lua_nffi_runtime_t *rt);

ngx_int_t ngx_http_lua_nffi_may_serve(ngx_http_lua_nffi_error_t *err);
void ngx_http_lua_nffi_shield(ngx_http_lua_nffi_shield_t *shield);
void ngx_http_lua_nffi_unshield(ngx_http_lua_nffi_shield_t *shield);

ngx_http_lua_nffi_runtime_t *ngx_http_lua_nffi_library_load(
    const u_char *name, size_t name_size, const u_char *library,
    size_t library_size, const u_char *config, size_t config_size,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err);
ngx_int_t ngx_http_lua_nffi_library_add(ngx_http_lua_nffi_runtime_t *rt,
    ngx_queue_t *list, const u_char *library, size_t size,
    ngx_http_lua_nffi_error_t *err);

ngx_http_lua_nffi_instance_t *ngx_http_lua_nffi_instance_add(
    ngx_http_lua_nffi_runtime_t *rt, ngx_queue_t *list,
    const ngx_http_lua_nffi_instance_ops_t *ops);
void ngx_http_lua_nffi_instance_end(ngx_http_lua_nffi_instance_t *inst);
ngx_http_lua_nffi_instance_t *ngx_http_lua_nffi_instance_choose(
    ngx_http_lua_nffi_runtime_t *rt, ngx_http_lua_nffi_error_t *err);
void ngx_http_lua_nffi_instance_close(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_instances_close(ngx_http_lua_nffi_runtime_t *rt);
ngx_int_t ngx_http_lua_nffi_state(ngx_http_lua_nffi_runtime_t *rt,
    nffi_host_state_t *sum);
void ngx_http_lua_nffi_instance_keep(ngx_http_lua_nffi_instance_t *inst);

/* the last call that kept a leaving worker has ended */
void ngx_http_lua_nffi_instance_let_go(ngx_http_lua_nffi_instance_t *inst);
ngx_msec_t ngx_http_lua_nffi_drain_limit(void);

void ngx_http_lua_nffi_drain(ngx_http_lua_nffi_instance_t *inst,
    ngx_uint_t turn);
void ngx_http_lua_nffi_drain_soon(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_drain_handler(ngx_event_t *ev);
void ngx_http_lua_nffi_woken_handler(ngx_event_t *ev);
void ngx_http_lua_nffi_fail_calls(ngx_http_lua_nffi_instance_t *inst,
    ngx_str_t *message, const char *code);
ngx_int_t ngx_http_lua_nffi_fail_some_calls(ngx_http_lua_nffi_instance_t *inst,
    ngx_str_t *message, const char *code, ngx_uint_t max);

ngx_int_t ngx_http_lua_nffi_refused(ngx_http_lua_nffi_error_t *err,
    ngx_http_lua_nffi_instance_t *inst, int rc);
void ngx_http_lua_nffi_awaited(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_not_awaited(ngx_http_lua_nffi_instance_t *inst);
uint64_t ngx_http_lua_nffi_deadline(uint32_t timeout_ms);
void ngx_http_lua_nffi_wait(ngx_http_lua_nffi_call_t *call,
    struct ngx_http_lua_co_ctx_s *coctx, uint32_t timeout_ms,
    uint64_t deadline_ns);
ngx_uint_t ngx_http_lua_nffi_is_over(ngx_http_lua_nffi_call_t *call);
ngx_uint_t ngx_http_lua_nffi_is_early(ngx_http_lua_nffi_call_t *call);
void ngx_http_lua_nffi_stop_waiting(ngx_http_lua_nffi_call_t *call);
void ngx_http_lua_nffi_give_response(ngx_http_lua_nffi_call_t *call,
    const nffi_host_response_t *response);
void ngx_http_lua_nffi_give_failure(ngx_http_lua_nffi_call_t *call,
    const ngx_str_t *message, const char *code);

void ngx_http_lua_nffi_count_rejected(ngx_http_lua_nffi_runtime_t *rt,
    const char *code);
ngx_uint_t ngx_http_lua_nffi_is_error(const nffi_host_response_t *response);
void ngx_http_lua_nffi_count_answer(ngx_http_lua_nffi_runtime_t *rt,
    const nffi_host_response_t *response);
void ngx_http_lua_nffi_count_misuse(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_count_failed(ngx_http_lua_nffi_runtime_t *rt,
    const char *code);

void ngx_http_lua_nffi_reap_init(void);
void ngx_http_lua_nffi_reap_soon(void);
void ngx_http_lua_nffi_reap_instance(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_reap_runtime(ngx_http_lua_nffi_runtime_t *rt);
void ngx_http_lua_nffi_unused(void *data);

ngx_uint_t ngx_http_lua_nffi_kept_queues(void);

ngx_int_t ngx_http_lua_nffi_leave_init(void);

void ngx_http_lua_nffi_reload_close(ngx_http_lua_nffi_runtime_t *rt);

ngx_uint_t ngx_http_lua_nffi_write_messages(ngx_http_lua_nffi_instance_t *inst);
void ngx_http_lua_nffi_rate_tell(ngx_http_lua_nffi_rate_t *rate);
ngx_int_t ngx_http_lua_nffi_rate_take(ngx_http_lua_nffi_rate_t *rate);
size_t ngx_http_lua_nffi_escape(u_char *to, size_t room, u_char *data,
    size_t size);
ngx_int_t ngx_http_lua_nffi_read_output(ngx_http_lua_nffi_output_t *out,
    ngx_socket_t fd, ngx_uint_t reads);


/* called from Lua */

uint32_t ngx_http_lua_nonblocking_ffi_abi_version(void);

void *ngx_http_lua_nonblocking_ffi_find(const u_char *key, size_t key_size);

void *ngx_http_lua_nonblocking_ffi_load(const u_char *name, size_t name_size,
    const u_char *library, size_t library_size, const u_char *config,
    size_t config_size, const ngx_http_lua_nffi_limits_t *limits,
    ngx_http_lua_nffi_error_t *err);

void *ngx_http_lua_nonblocking_ffi_start(const u_char *key, size_t key_size,
    const ngx_http_lua_nffi_process_options_t *options,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err);

int ngx_http_lua_nonblocking_ffi_may_wait(ngx_http_request_t *r,
    ngx_http_lua_nffi_error_t *err);
int ngx_http_lua_nonblocking_ffi_call(ngx_http_request_t *r, void *runtime,
    const u_char *method, size_t method_size, const u_char *data, size_t size,
    uint32_t timeout_ms, ngx_http_lua_nffi_error_t *err);

void *ngx_http_lua_nonblocking_ffi_stream(ngx_http_request_t *r,
    void *runtime, const u_char *method, size_t method_size,
    const u_char *data, size_t size, uint32_t window,
    ngx_http_lua_nffi_error_t *err);

int ngx_http_lua_nonblocking_ffi_stream_read(ngx_http_request_t *r,
    void *stream, uint32_t timeout_ms, ngx_http_lua_nffi_read_t *read,
    ngx_http_lua_nffi_error_t *err);

void ngx_http_lua_nonblocking_ffi_stream_close(void *stream);

void ngx_http_lua_nonblocking_ffi_stream_free(void *stream);

void ngx_http_lua_nonblocking_ffi_close(void *runtime);

void ngx_http_lua_nonblocking_ffi_release(void *runtime);

int ngx_http_lua_nonblocking_ffi_is_open(void *runtime);

uint32_t ngx_http_lua_nonblocking_ffi_kept(void);

int ngx_http_lua_nonblocking_ffi_state(void *runtime,
    nffi_host_state_t *state);


void *ngx_http_lua_nonblocking_ffi_reload(void *runtime,
    const u_char *library, size_t size, ngx_http_lua_nffi_error_t *err);

int ngx_http_lua_nonblocking_ffi_reloaded(void *reload,
    ngx_http_lua_nffi_error_t *err);

void ngx_http_lua_nonblocking_ffi_reload_free(void *reload);

void *ngx_http_lua_nonblocking_ffi_next(void *runtime);

const char *ngx_http_lua_nonblocking_ffi_code(uint32_t index);

const ngx_http_lua_nffi_counts_t *ngx_http_lua_nonblocking_ffi_counts(
    void *runtime);

void ngx_http_lua_nonblocking_ffi_identity(void *runtime,
    ngx_http_lua_nffi_identity_t *identity);

int ngx_http_lua_nonblocking_ffi_process(void *runtime, uint32_t index,
    ngx_http_lua_nffi_process_info_t *info);


#endif /* _NGX_HTTP_LUA_NONBLOCKING_FFI_H_INCLUDED_ */

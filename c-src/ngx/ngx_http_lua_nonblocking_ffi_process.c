/*
 * ngx_http_lua_nonblocking_ffi_process.c - the glue for a runtime that is a
 * child process of the worker: it is started, watched, read and restarted.
 *
 * All of it runs in the event loop. The child's descriptors are watched by
 * connection structures of our own: ones of nginx's pool would cost slots, be
 * closed by the shutdown handler and be reported as open sockets at exit.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nonblocking_ffi.h"

#include <pwd.h>


#define NGX_HTTP_LUA_NFFI_FIRST_DELAY   100      /* ms before a restart */
#define NGX_HTTP_LUA_NFFI_LAST_DELAY    30000
#define NGX_HTTP_LUA_NFFI_STEADY        60000    /* up so long: first delay */
#define NGX_HTTP_LUA_NFFI_START_LIMIT   30000    /* ms until it is ready */
#define NGX_HTTP_LUA_NFFI_QUICK_DEATHS  5        /* then a line a minute */

#define NGX_HTTP_LUA_NFFI_GRACE         1000     /* ms, after it let go */

#define NGX_HTTP_LUA_NFFI_READS         16       /* of a pipe in one turn */


typedef struct {
    ngx_connection_t              connection;
    ngx_event_t                   read;
    ngx_event_t                   write;         /* never active */
    ngx_http_lua_nffi_process_t  *process;
} ngx_http_lua_nffi_channel_t;


/* one of the child's pipes */

typedef struct {
    ngx_http_lua_nffi_channel_t   channel;
    ngx_http_lua_nffi_output_t    output;
} ngx_http_lua_nffi_pipe_t;


typedef enum {
    NGX_HTTP_LUA_NFFI_DOWN = 0,
    NGX_HTTP_LUA_NFFI_STARTING,
    NGX_HTTP_LUA_NFFI_READY
} ngx_http_lua_nffi_process_state_e;


struct ngx_http_lua_nffi_process_s {
    ngx_http_lua_nffi_runtime_t        *runtime;
    ngx_http_lua_nffi_process_state_e   state;

    /* what is started; one block of memory */
    char                               *program;
    char                              **argv;
    char                              **envp;
    char                               *directory;
    uint32_t                            flags;
    ngx_http_lua_nffi_limits_t          limits;

    nffi_child_t                        child;
    ngx_http_lua_nffi_channel_t         control;
    ngx_http_lua_nffi_channel_t         done;
    ngx_http_lua_nffi_pipe_t            out;
    ngx_http_lua_nffi_pipe_t            err;

    nffi_child_t                        leaving; /* has let go of its socket */

    ngx_event_t                         restart;
    ngx_event_t                         kill;    /* it does not get ready, or
                                                    does not end */
    ngx_event_t                         reap;    /* the end of `leaving` */
    ngx_msec_t                          delay;
    ngx_msec_t                          started;
    ngx_uint_t                          quick_deaths;
    ngx_msec_t                          reported;

    ngx_http_lua_nffi_error_t           reason;  /* why it is down */
    ngx_http_lua_nffi_last_words_t      last_words;
};


static ngx_int_t ngx_http_lua_nffi_process_spawn(
    ngx_http_lua_nffi_process_t *p, ngx_http_lua_nffi_error_t *err);
static void ngx_http_lua_nffi_process_died(ngx_http_lua_nffi_process_t *p);
static void ngx_http_lua_nffi_control_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_done_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_pipe_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_restart_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_kill_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_reap_handler(ngx_event_t *ev);
static void ngx_http_lua_nffi_process_release(ngx_http_lua_nffi_process_t *p);


static size_t
ngx_http_lua_nffi_strings_size(const char **strings, ngx_uint_t *count)
{
    size_t  size;

    size = 0;

    for (*count = 0; strings[*count]; (*count)++) {
        size += ngx_strlen(strings[*count]) + 1;
    }

    return size + (*count + 1) * sizeof(char *);
}


static char *
ngx_http_lua_nffi_copy_string(char **to, const char *s)
{
    char    *copy = *to;
    size_t   size = ngx_strlen(s) + 1;

    ngx_memcpy(copy, s, size);
    *to += size;

    return copy;
}


/* a process structure with a copy of everything that is needed to start it */

static ngx_http_lua_nffi_process_t *
ngx_http_lua_nffi_process_create(ngx_http_lua_nffi_runtime_t *rt,
    const char *program, const char **argv, const char **envp,
    const char *directory, uint32_t flags,
    const ngx_http_lua_nffi_limits_t *limits)
{
    char                         *at;
    size_t                        size;
    ngx_uint_t                    i, nargs, nenv;
    ngx_http_lua_nffi_process_t  *p;

    size = sizeof(ngx_http_lua_nffi_process_t)
           + ngx_http_lua_nffi_strings_size(argv, &nargs)
           + ngx_http_lua_nffi_strings_size(envp, &nenv)
           + ngx_strlen(program) + 1
           + (directory ? ngx_strlen(directory) + 1 : 0);

    p = ngx_calloc(size, ngx_cycle->log);
    if (p == NULL) {
        return NULL;
    }

    p->argv = (char **) (p + 1);
    p->envp = p->argv + nargs + 1;
    at = (char *) (p->envp + nenv + 1);

    for (i = 0; i < nargs; i++) {
        p->argv[i] = ngx_http_lua_nffi_copy_string(&at, argv[i]);
    }

    for (i = 0; i < nenv; i++) {
        p->envp[i] = ngx_http_lua_nffi_copy_string(&at, envp[i]);
    }

    p->program = ngx_http_lua_nffi_copy_string(&at, program);

    if (directory) {
        p->directory = ngx_http_lua_nffi_copy_string(&at, directory);
    }

    p->runtime = rt;
    p->flags = flags;
    p->limits = *limits;
    p->delay = NGX_HTTP_LUA_NFFI_FIRST_DELAY;

    p->out.output.name = rt->name;
    p->out.output.level = NGX_LOG_NOTICE;
    p->out.output.last_words = &p->last_words;
    p->err.output = p->out.output;
    p->err.output.level = NGX_LOG_ERR;

    p->restart.data = p;
    p->restart.handler = ngx_http_lua_nffi_restart_handler;
    p->restart.log = ngx_cycle->log;
    p->restart.cancelable = 1;

    p->kill.data = p;
    p->kill.handler = ngx_http_lua_nffi_kill_handler;
    p->kill.log = ngx_cycle->log;
    p->kill.cancelable = 1;

    p->reap.data = p;
    p->reap.handler = ngx_http_lua_nffi_reap_handler;
    p->reap.log = ngx_cycle->log;
    p->reap.cancelable = 1;

    return p;
}


void *
ngx_http_lua_nonblocking_ffi_start(const u_char *key, size_t key_size,
    const char *name, const char *program, const char **argv,
    const char **envp, const char *directory, uint32_t flags,
    const ngx_http_lua_nffi_limits_t *limits, ngx_http_lua_nffi_error_t *err)
{
    ngx_str_t                     rt_key, rt_name;
    ngx_http_lua_nffi_runtime_t  *rt;

    if (ngx_http_lua_nffi_may_load(err) != NGX_OK) {
        return NULL;
    }

    rt = ngx_http_lua_nonblocking_ffi_find(key, key_size);
    if (rt) {
        return rt;
    }

    rt_key.data = (u_char *) key;
    rt_key.len = key_size;
    rt_name.data = (u_char *) name;
    rt_name.len = ngx_strlen(name);

    rt = ngx_http_lua_nffi_register(&rt_key, &rt_name);
    if (rt == NULL) {
        ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        return NULL;
    }

    rt->process = ngx_http_lua_nffi_process_create(rt, program, argv, envp,
                                                   directory, flags, limits);
    if (rt->process == NULL) {
        ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        goto failed;
    }

    if (ngx_http_lua_nffi_process_spawn(rt->process, err) != NGX_OK) {
        goto failed;
    }

    return rt;

failed:

    if (rt->process) {
        ngx_free(rt->process);
    }

    ngx_http_lua_nffi_unregister(rt);

    return NULL;
}


static void
ngx_http_lua_nffi_channel_init(ngx_http_lua_nffi_process_t *p,
    ngx_http_lua_nffi_channel_t *ch, int fd, ngx_event_handler_pt handler)
{
    /* events of an earlier descriptor that are still in flight differ */
    ngx_uint_t  instance = !ch->read.instance;

    ngx_memzero(&ch->connection, sizeof(ngx_connection_t));
    ngx_memzero(&ch->read, sizeof(ngx_event_t));
    ngx_memzero(&ch->write, sizeof(ngx_event_t));

    ch->process = p;
    ch->connection.fd = fd;
    ch->connection.read = &ch->read;
    ch->connection.write = &ch->write;
    ch->connection.log = ngx_cycle->log;

    ch->read.data = &ch->connection;
    ch->read.handler = handler;
    ch->read.log = ngx_cycle->log;
    ch->read.instance = instance;

    ch->write.data = &ch->connection;
    ch->write.write = 1;
    ch->write.log = ngx_cycle->log;
    ch->write.instance = instance;
}


/* all four are made before the first is watched: each can be released then */

static ngx_int_t
ngx_http_lua_nffi_watch(ngx_http_lua_nffi_process_t *p)
{
    ngx_uint_t                    i;
    ngx_http_lua_nffi_channel_t  *channels[] = {
        &p->control, &p->done, &p->out.channel, &p->err.channel
    };

    ngx_http_lua_nffi_channel_init(p, &p->control, p->child.control_fd,
                                   ngx_http_lua_nffi_control_handler);
    ngx_http_lua_nffi_channel_init(p, &p->done, p->child.done_fd,
                                   ngx_http_lua_nffi_done_handler);
    ngx_http_lua_nffi_channel_init(p, &p->out.channel, p->child.stdout_fd,
                                   ngx_http_lua_nffi_pipe_handler);
    ngx_http_lua_nffi_channel_init(p, &p->err.channel, p->child.stderr_fd,
                                   ngx_http_lua_nffi_pipe_handler);

    for (i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
        if (ngx_add_event(&channels[i]->read, NGX_READ_EVENT, NGX_CLEAR_EVENT)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_lua_nffi_unwatch(ngx_http_lua_nffi_channel_t *ch, ngx_uint_t close_fd)
{
    ngx_socket_t  fd = ch->connection.fd;

    if (fd == (ngx_socket_t) -1) {
        return;
    }

    if (ch->read.active) {
        (void) ngx_del_event(&ch->read, NGX_READ_EVENT, 0);
    }

    if (ch->read.posted) {
        ngx_delete_posted_event(&ch->read);
    }

    /* an event in the batch at hand finds -1 and is dropped */
    ch->connection.fd = (ngx_socket_t) -1;

    if (close_fd) {
        (void) close(fd);
    }
}


static void
ngx_http_lua_nffi_reap(ngx_http_lua_nffi_process_t *p)
{
    if (p->reap.timer_set) {
        ngx_del_timer(&p->reap);
    }

    if (p->leaving.pidfd > 0) {
        nffi_child_kill(&p->leaving);
        (void) close(p->leaving.pidfd);
        p->leaving.pidfd = 0;
    }
}


static void
ngx_http_lua_nffi_reap_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_reap(ev->data);
}


static const char *
ngx_http_lua_nffi_user(void)
{
    struct passwd  *pw;

    pw = getpwuid(geteuid());

    return pw ? pw->pw_name : "?";
}


static ngx_int_t
ngx_http_lua_nffi_process_spawn(ngx_http_lua_nffi_process_t *p,
    ngx_http_lua_nffi_error_t *err)
{
    int                           rc;
    const char                   *stage;
    ngx_err_t                     e;
    nffi_host_t                  *host;
    nffi_host_options_t           options;
    nffi_spawn_options_t          spawn;
    ngx_http_lua_nffi_runtime_t  *rt = p->runtime;

    ngx_memzero(&options, sizeof(options));
    options.process = 1;
    options.max_queue = p->limits.max_queue;
    options.max_tasks = p->limits.max_tasks;
    options.request_arena = p->limits.arena;
    options.response_arena = p->limits.arena;

    rc = nffi_host_create(&host, &options);

    if (rc != NFFI_OK) {
        e = ngx_errno;
        return ngx_http_lua_nffi_fail(err, "load_failed",
                   "no shared memory for the runtime \"%V\": %s%s%s",
                   &rt->name, nffi_error_text(rc),
                   rc == NFFI_SYSTEM ? ": " : "",
                   rc == NFFI_SYSTEM ? strerror(e) : "");
    }

    ngx_http_lua_nffi_reap(p);

    ngx_memzero(&spawn, sizeof(spawn));
    spawn.program = p->program;
    spawn.argv = p->argv;
    spawn.envp = p->envp;
    spawn.directory = p->directory;
    spawn.flags = p->flags;

    rc = nffi_host_spawn(host, &spawn, &p->child, &stage);

    if (rc != NFFI_OK) {
        e = ngx_errno;
        nffi_host_destroy(host);

        return ngx_http_lua_nffi_fail(err, "load_failed",
                   "the runtime \"%V\" cannot be started: %s(\"%s\") as user "
                   "\"%s\" failed (%d: %s)", &rt->name, stage,
                   ngx_strcmp(stage, "chdir") == 0 ? p->directory : p->program,
                   ngx_http_lua_nffi_user(), e, strerror(e));
    }

    rt->host = host;
    p->state = NGX_HTTP_LUA_NFFI_STARTING;
    p->started = ngx_current_msec;
    p->last_words.size = 0;
    p->reason.size = 0;
    p->out.output.size = 0;
    p->err.output.size = 0;

    (void) nffi_host_park(host);
    ngx_add_timer(&p->kill, p->limits.start_timeout
                            ? p->limits.start_timeout
                            : NGX_HTTP_LUA_NFFI_START_LIMIT);

    if (ngx_http_lua_nffi_watch(p) != NGX_OK) {
        /* nobody would hear it, nor learn of its death */
        nffi_child_kill(&p->child);
        ngx_http_lua_nffi_process_release(p);
        ngx_http_lua_nffi_reap(p);
        p->state = NGX_HTTP_LUA_NFFI_DOWN;

        return ngx_http_lua_nffi_fail(err, "load_failed",
                   "the runtime \"%V\" cannot be watched: the event method "
                   "refused a descriptor, see the error log", &rt->name);
    }

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "nffi: runtime \"%V\": process %P started", &rt->name,
                  p->child.pid);

    return NGX_OK;
}


static void
ngx_http_lua_nffi_pipe_handler(ngx_event_t *ev)
{
    ngx_int_t                  rc;
    ngx_connection_t          *c = ev->data;
    ngx_http_lua_nffi_pipe_t  *pipe;

    pipe = (ngx_http_lua_nffi_pipe_t *)
               ((u_char *) c - offsetof(ngx_http_lua_nffi_pipe_t,
                                        channel.connection));

    rc = ngx_http_lua_nffi_read_output(&pipe->output, c->fd,
                                       NGX_HTTP_LUA_NFFI_READS);

    if (rc == NGX_DONE) {
        ngx_http_lua_nffi_unwatch(&pipe->channel, 1);

    } else if (rc == NGX_AGAIN && !ev->posted) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


static void
ngx_http_lua_nffi_done_handler(ngx_event_t *ev)
{
    ngx_connection_t             *c = ev->data;
    ngx_http_lua_nffi_channel_t  *ch;

    /* edge-triggered: the counter is not read */

    ch = (ngx_http_lua_nffi_channel_t *) c;
    ngx_http_lua_nffi_drain(ch->process->runtime, NGX_HTTP_LUA_NFFI_TURN);
}


static void
ngx_http_lua_nffi_control_handler(ngx_event_t *ev)
{
    int                           event;
    ngx_connection_t             *c = ev->data;
    nffi_child_message_t          message;
    ngx_http_lua_nffi_process_t  *p;

    p = ((ngx_http_lua_nffi_channel_t *) c)->process;

    for ( ;; ) {
        event = nffi_host_child_event(p->runtime->host, &message);

        switch (event) {

        case NFFI_CHILD_READY:
            p->state = NGX_HTTP_LUA_NFFI_READY;

            if (p->kill.timer_set && !p->runtime->closed) {
                ngx_del_timer(&p->kill);
            }

            break;

        case NFFI_CHILD_FAILED:
            ngx_http_lua_nffi_fail(&p->reason, "load_failed", "%*s",
                                   message.size, message.text);
            break;

        case NFFI_CHILD_ABI_MISMATCH:
            ngx_http_lua_nffi_fail(&p->reason, "abi_mismatch",
                                   "its addon has ABI %uD, this nginx has "
                                   "ABI %d", message.abi, NFFI_ABI_VERSION);
            break;

        case NFFI_CHILD_GONE:
            ngx_http_lua_nffi_process_died(p);
            return;

        default:
            return;
        }
    }
}


static void
ngx_http_lua_nffi_process_release(ngx_http_lua_nffi_process_t *p)
{
    ngx_http_lua_nffi_runtime_t  *rt = p->runtime;

    ngx_http_lua_nffi_unwatch(&p->control, 0);
    ngx_http_lua_nffi_unwatch(&p->done, 0);
    ngx_http_lua_nffi_unwatch(&p->out.channel, 1);
    ngx_http_lua_nffi_unwatch(&p->err.channel, 1);

    if (rt->drain.posted) {
        ngx_delete_posted_event(&rt->drain);
    }

    if (p->kill.timer_set) {
        ngx_del_timer(&p->kill);
    }

    /* whoever has let go of its end of the control socket is ending: its exit
       code is worth more than a signal 9 in the log. One that does not end is
       of no use any more, and the next ones would add up */

    if (p->child.pidfd != -1) {
        p->leaving.pidfd = p->child.pidfd;
        p->child.pidfd = -1;
        ngx_add_timer(&p->reap, NGX_HTTP_LUA_NFFI_GRACE);
    }

    p->child.pid = 0;

    nffi_host_destroy(rt->host);
    rt->host = NULL;
}


/* after five quick deaths one line a minute is enough */

static void
ngx_http_lua_nffi_report_death(ngx_http_lua_nffi_process_t *p)
{
    size_t  size;
    u_char  text[sizeof(p->reason.message)];

    if (p->quick_deaths > NGX_HTTP_LUA_NFFI_QUICK_DEATHS
        && ngx_current_msec - p->reported < 60000)
    {
        return;
    }

    p->reported = ngx_current_msec;
    size = ngx_http_lua_nffi_escape(text, sizeof(text), p->reason.message,
                                    p->reason.size);

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "nffi: runtime \"%V\": %*s; it is started again in %M ms",
                  &p->runtime->name, size, text, p->delay);
}


static void
ngx_http_lua_nffi_schedule_restart(ngx_http_lua_nffi_process_t *p)
{
    if (ngx_exiting || p->runtime->closed) {
        return;
    }

    ngx_http_lua_nffi_report_death(p);
    ngx_add_timer(&p->restart, p->delay);
    p->delay = ngx_min(p->delay * 2, NGX_HTTP_LUA_NFFI_LAST_DELAY);
}


static void
ngx_http_lua_nffi_process_died(ngx_http_lua_nffi_process_t *p)
{
    u_char                        text[sizeof(p->reason.message)];
    size_t                        size;
    ngx_str_t                     message;
    ngx_http_lua_nffi_runtime_t  *rt = p->runtime;

    /* what it said and answered before it died counts */

    (void) ngx_http_lua_nffi_read_output(&p->out.output,
                                         p->out.channel.connection.fd,
                                         NGX_HTTP_LUA_NFFI_READS);
    (void) ngx_http_lua_nffi_read_output(&p->err.output,
                                         p->err.channel.connection.fd,
                                         NGX_HTTP_LUA_NFFI_READS);
    ngx_http_lua_nffi_drain(rt, NGX_MAX_INT32_VALUE);

    if (p->reason.size == 0) {
        ngx_http_lua_nffi_fail(&p->reason, "runtime_down",
                               "its process %P ended%s%*s", p->child.pid,
                               p->last_words.size ? ": " : "",
                               p->last_words.size, p->last_words.text);
    }

    if (ngx_current_msec - p->started >= NGX_HTTP_LUA_NFFI_STEADY) {
        p->delay = NGX_HTTP_LUA_NFFI_FIRST_DELAY;
        p->quick_deaths = 0;
    }

    p->quick_deaths++;
    p->state = NGX_HTTP_LUA_NFFI_DOWN;

    size = ngx_snprintf(text, sizeof(text), "the runtime \"%V\" is down: %*s",
                        &rt->name, p->reason.size, p->reason.message)
           - text;
    message.data = text;
    message.len = size;

    ngx_http_lua_nffi_fail_calls(rt, &message, "runtime_down");
    ngx_http_lua_nffi_process_release(p);
    ngx_http_lua_nffi_schedule_restart(p);
}


void
ngx_http_lua_nffi_process_broken(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_http_lua_nffi_process_t  *p = rt->process;

    ngx_http_lua_nffi_fail(&p->reason, "runtime_down",
                           "its process %P broke the rules of the queue",
                           p->child.pid);

    /* its end of file brings the rest */
    nffi_child_kill(&p->child);
}


static void
ngx_http_lua_nffi_restart_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_process_t  *p = ev->data;

    if (ngx_exiting || p->runtime->closed) {
        return;
    }

    if (ngx_http_lua_nffi_process_spawn(p, &p->reason) != NGX_OK) {
        p->quick_deaths++;
        ngx_http_lua_nffi_schedule_restart(p);
    }
}


static void
ngx_http_lua_nffi_kill_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_process_t  *p = ev->data;

    if (p->reason.size == 0) {
        ngx_http_lua_nffi_fail(&p->reason, "runtime_down",
                               "its process %P %s and is killed", p->child.pid,
                               p->runtime->closed
                               ? "has not ended within the drain limit"
                               : "was not ready within the start limit");
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "nffi: runtime \"%V\": %*s", &p->runtime->name,
                  p->reason.size, p->reason.message);

    nffi_child_kill(&p->child);

    /* its session too: the program that a shell has started would hold the
       socket, so that the end of file would not come */
    if (p->child.pid > 1) {
        (void) kill(-p->child.pid, SIGKILL);
    }

    ngx_http_lua_nffi_process_died(p);
}


ngx_int_t
ngx_http_lua_nffi_process_available(ngx_http_lua_nffi_runtime_t *rt,
    ngx_http_lua_nffi_error_t *err)
{
    ngx_http_lua_nffi_process_t  *p = rt->process;

    if (p->state != NGX_HTTP_LUA_NFFI_DOWN && rt->host) {
        return NGX_OK;
    }

    return ngx_http_lua_nffi_fail(err, "runtime_down",
                                  "the runtime \"%V\" is down: %*s", &rt->name,
                                  p->reason.size, p->reason.message);
}


/* no new calls; the process answers what it has, then ends by itself */

void
ngx_http_lua_nffi_process_finish(ngx_http_lua_nffi_runtime_t *rt)
{
    ngx_http_lua_nffi_process_t  *p = rt->process;

    if (p->restart.timer_set) {
        ngx_del_timer(&p->restart);
    }

    if (rt->host) {
        nffi_host_close(rt->host);
        ngx_add_timer(&p->kill, ngx_http_lua_nffi_drain_limit());
    }
}

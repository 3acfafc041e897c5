/*
 * ngx_http_lua_nffi_watch.c - the attached glue: the wait of a coroutine on a
 * semaphore of ngx_lua, and the clean-up functions of ngx_lua's structure of a
 * coroutine, `ngx_http_lua_co_ctx_t`.
 *
 * ngx_lua calls the clean-up of a coroutine that is the entry of a phase or a
 * light thread when it ends, but not that of a coroutine inside a light thread.
 * So that thread has ours as well, as with a built glue. The glue knows these
 * fields, which are the same in all versions of both modules:
 *
 *   - the first three pointers: data, the lua_State, the parent;
 *   - `cleanup`, somewhere behind them: the only address of a function;
 *   - the event `sleep`, the link of the semaphore's queue, and, with ngx_lua's
 *     assertions behind another number, the reference to the coroutine.
 *
 * Each wait checks all of them before it writes.
 */

#include "ngx_http_lua_nffi_watch.h"
#include "ngx_http_lua_nffi_layout.h"

#include <link.h>


/* ms; the timer is removed immediately, but must be found */
#define NGX_HTTP_LUA_NFFI_LONGEST      NGX_MAX_INT32_VALUE

/* bytes before `sleep`: 80 to 96 in ngx_lua, 40 in ngx_stream_lua */
#define NGX_HTTP_LUA_NFFI_BEFORE       512

/* LUA_NOREF */
#define NGX_HTTP_LUA_NFFI_NO_REFERENCE  (-2)


/* pointers of a structure */

enum {
    NGX_HTTP_LUA_NFFI_DATA = 0,
    NGX_HTTP_LUA_NFFI_STATE,
    NGX_HTTP_LUA_NFFI_PARENT,
    NGX_HTTP_LUA_NFFI_OTHERS
};


typedef struct {
    uintptr_t                      inside;
    uintptr_t                      start;
    uintptr_t                      end;
} ngx_http_lua_nffi_code_t;


static int
ngx_http_lua_nffi_find_code(struct dl_phdr_info *info, size_t size, void *data)
{
    size_t                     i;
    uintptr_t                  start;
    const ElfW(Phdr)          *ph = info->dlpi_phdr;
    ngx_http_lua_nffi_code_t  *code = data;

    (void) size;

    for (i = 0; i < info->dlpi_phnum; i++) {
        start = info->dlpi_addr + ph[i].p_vaddr;

        if (ph[i].p_type == PT_LOAD && (ph[i].p_flags & PF_X)
            && code->inside - start < ph[i].p_memsz)
        {
            code->start = start;
            code->end = start + ph[i].p_memsz;
            return 1;
        }
    }

    return 0;
}


/* Finds `cleanup`: the only address in the machine code of ngx_lua. */

static ngx_int_t
ngx_http_lua_nffi_find_cleanup(ngx_http_lua_nffi_subsystem_t *subsystem,
    void **coctx, void **end)
{
    void                      **word, **found = NULL;
    ngx_http_lua_nffi_code_t    code = { (uintptr_t) subsystem->sema_wait,
                                         0, 0 };

    (void) dl_iterate_phdr(ngx_http_lua_nffi_find_code, &code);

    for (word = &coctx[NGX_HTTP_LUA_NFFI_OTHERS]; word < end; word++) {

        if ((uintptr_t) *word < code.start || (uintptr_t) *word >= code.end) {
            continue;
        }

        if (found) {
            return NGX_ERROR;
        }

        found = word;
    }

    if (found == NULL) {
        return NGX_ERROR;
    }

    subsystem->cleanup = (void (*)(void *)) *found;
    subsystem->cleanup_at = found - coctx;

    return NGX_OK;
}


/* Returns the structure of the coroutine that has just begun to wait until
   `expires`; NULL if it is another structure. */

static void **
ngx_http_lua_nffi_find_coctx(ngx_http_lua_nffi_watch_t *watch,
    ngx_msec_t expires, void *lua_state)
{
    void                           **coctx;
    ngx_event_t                     *sleep;
    ngx_queue_t                     *q, *queue = watch->sem;
    ngx_http_lua_nffi_subsystem_t   *subsystem = watch->subsystem;

    q = ngx_queue_head(queue);

    if (q == queue || ngx_queue_next(q) != queue) {
        return NULL;
    }

    sleep = (ngx_event_t *) ((u_char *) q - sizeof(ngx_event_t));

    if (!sleep->timer_set || sleep->timer.key != expires) {
        return NULL;
    }

    coctx = sleep->data;

    if ((u_char *) sleep - (u_char *) coctx <= 0
        || (u_char *) sleep - (u_char *) coctx > NGX_HTTP_LUA_NFFI_BEFORE
        || coctx[NGX_HTTP_LUA_NFFI_DATA] != watch->sem)
    {
        return NULL;
    }

    if (subsystem->cleanup == NULL
        && ngx_http_lua_nffi_find_cleanup(subsystem, coctx, (void **) sleep)
           != NGX_OK)
    {
        return NULL;
    }

    if (coctx[subsystem->cleanup_at] != (void *) subsystem->cleanup) {
        return NULL;
    }

    /* The first time it must be the coroutine that Lua has named. In one that
       ngx_lua does not know, as of coroutine._create(), it is its creator. */

    if (!subsystem->is_known) {

        if (coctx[NGX_HTTP_LUA_NFFI_STATE] != lua_state) {
            subsystem->cleanup(coctx);
            return NULL;
        }

        subsystem->link_at = (u_char *) q - (u_char *) coctx;
        subsystem->is_known = 1;
    }

    if ((u_char *) coctx + subsystem->link_at != (u_char *) q) {
        return NULL;
    }

    /* the semaphore has no timeout */

    ngx_del_timer(sleep);

    return coctx;
}


/*
 * Undoes a wait without the structure of the coroutine: memory of a coroutine
 * that ends must not be found in the queue or among the timers. ngx_lua calls
 * its own clean-up later, which finds an empty link. The timer is the last one,
 * unless another one is set for more than 24 days.
 */

static void
ngx_http_lua_nffi_undo_wait(ngx_http_lua_nffi_watch_t *watch,
    ngx_msec_t expires)
{
    ngx_queue_t        *queue = watch->sem, *q = ngx_queue_head(queue);
    ngx_rbtree_node_t  *node = ngx_event_timer_rbtree.root;

    while (node != ngx_event_timer_rbtree.sentinel
           && node->right != ngx_event_timer_rbtree.sentinel)
    {
        node = node->right;
    }

    if (node != ngx_event_timer_rbtree.sentinel && node->key == expires) {
        ngx_del_timer(ngx_rbtree_data(node, ngx_event_t, timer));
    }

    if (q != queue) {
        ngx_queue_remove(q);
        ngx_queue_init(q);
    }
}


/* Returns 1 for a coroutine of coroutine.create() or coroutine.wrap(). The
   numbers behind a reference are bits, of which the upper ones are 0. */

static ngx_uint_t
ngx_http_lua_nffi_is_nested(void **coctx, size_t link_at)
{
    int32_t  *numbers;

    numbers = (int32_t *) ((u_char *) coctx + link_at + sizeof(ngx_queue_t));

    return numbers[0] == NGX_HTTP_LUA_NFFI_NO_REFERENCE
           || numbers[1] == NGX_HTTP_LUA_NFFI_NO_REFERENCE;
}


/* nginx clears or replaces the context if it redirects a request by itself, as
   for an error_page after a request body that was too large. ngx_lua then keeps
   the coroutine until the request ends, but would crash if it resumed it. */

static void *
ngx_http_lua_nffi_ctx_of(ngx_http_lua_nffi_watch_t *watch)
{
    const ngx_module_t  *module = watch->subsystem->module;

    return module ? ngx_http_lua_nffi_module_ctx(watch->request, module) : NULL;
}


/* Restores ngx_lua's clean-up. */

static void
ngx_http_lua_nffi_unwatch(ngx_http_lua_nffi_watch_t *watch)
{
    ngx_uint_t  at = watch->subsystem->cleanup_at;

    if (watch->thread == NULL) {
        return;
    }

    watch->thread[at] = NULL;
    watch->thread = NULL;
    watch->coctx[NGX_HTTP_LUA_NFFI_DATA] = watch->sem;
    watch->coctx[at] = (void *) watch->subsystem->cleanup;
}


/* called by ngx_lua, which then removes the clean-up that it has called */

static void
ngx_http_lua_nffi_coctx_ended(void *data)
{
    void                      **coctx = data;
    ngx_http_lua_nffi_watch_t  *watch = coctx[NGX_HTTP_LUA_NFFI_DATA];

    ngx_http_lua_nffi_watch_drop(watch);
    watch->ended(watch);
}


ngx_int_t
ngx_http_lua_nffi_watch_unsupported(ngx_http_lua_nffi_error_t *err)
{
    return ngx_http_lua_nffi_fail(err, "unsupported_nginx", "this ngx_lua "
                                  "keeps a waiting coroutine in another way "
                                  "than versions 0.10.0 to 0.10.32");
}


ngx_int_t
ngx_http_lua_nffi_watch_begin(ngx_http_lua_nffi_watch_t *watch,
    ngx_http_request_t *r, void *lua_state, ngx_http_lua_nffi_error_t *err)
{
    ngx_msec_t                      expires;
    ngx_http_lua_nffi_subsystem_t  *subsystem = watch->subsystem;

    err->size = sizeof(err->message);
    expires = ngx_current_msec + NGX_HTTP_LUA_NFFI_LONGEST;

    if (subsystem->sema_wait(ngx_http_lua_nffi_untagged(r), watch->sem,
                             NGX_HTTP_LUA_NFFI_LONGEST, err->message,
                             &err->size)
        == NGX_ERROR)
    {
        err->code = "wrong_phase";
        err->rc = 0;
        return NGX_ERROR;
    }

    watch->request = r;
    watch->thread = NULL;
    watch->coctx = ngx_http_lua_nffi_find_coctx(watch, expires, lua_state);

    if (watch->coctx) {
        return NGX_OK;
    }

    if (subsystem->sema_count(watch->sem) == 0) {
        return ngx_http_lua_nffi_fail(err, "wrong_phase", "ngx_lua does not "
                                      "know this coroutine: use "
                                      "coroutine.create() or coroutine.wrap()");
    }

    ngx_http_lua_nffi_undo_wait(watch, expires);
    subsystem->is_unknown = 1;
    (void) ngx_http_lua_nffi_watch_unsupported(err);

    return NGX_ABORT;
}


void
ngx_http_lua_nffi_watch_start(ngx_http_lua_nffi_watch_t *watch)
{
    void       **coctx = watch->coctx, **thread;
    size_t       link_at = watch->subsystem->link_at;
    ngx_uint_t   at = watch->subsystem->cleanup_at;

    for (thread = coctx;
         ngx_http_lua_nffi_is_nested(thread, link_at)
         && thread[NGX_HTTP_LUA_NFFI_PARENT];
         thread = thread[NGX_HTTP_LUA_NFFI_PARENT])
    { /* void */ }

    watch->ctx = ngx_http_lua_nffi_ctx_of(watch);
    watch->thread = thread;
    thread[NGX_HTTP_LUA_NFFI_DATA] = watch;
    thread[at] = (void *) ngx_http_lua_nffi_coctx_ended;
    coctx[NGX_HTTP_LUA_NFFI_DATA] = watch;
    coctx[at] = (void *) ngx_http_lua_nffi_coctx_ended;
}


void *
ngx_http_lua_nffi_watch_lua_state(ngx_http_lua_nffi_watch_t *watch)
{
    return watch->coctx[NGX_HTTP_LUA_NFFI_STATE];
}


/*
 * ngx_lua would resume the coroutine later in this turn of the event loop, from
 * an event. What runs before could end the coroutine, so its event is handled
 * here.
 */

void
ngx_http_lua_nffi_watch_resume(ngx_http_lua_nffi_watch_t *watch)
{
    void         *sem = watch->sem;
    ngx_event_t  *ev;
    ngx_queue_t  *q;

    if (ngx_http_lua_nffi_ctx_of(watch) != watch->ctx) {
        ngx_http_lua_nffi_watch_drop(watch);
        return;
    }

    ngx_http_lua_nffi_unwatch(watch);
    watch->coctx = NULL;

    (void) watch->subsystem->sema_post(sem, 1);

    for (q = ngx_queue_last(&ngx_posted_events);
         q != ngx_queue_sentinel(&ngx_posted_events);
         q = ngx_queue_prev(q))
    {
        ev = ngx_queue_data(q, ngx_event_t, queue);

        if (ev->data == sem) {
            ngx_delete_posted_event(ev);
            ev->handler(ev);
            return;
        }
    }
}


void
ngx_http_lua_nffi_watch_drop(ngx_http_lua_nffi_watch_t *watch)
{
    void  **coctx = watch->coctx;

    if (coctx) {
        ngx_http_lua_nffi_unwatch(watch);
        watch->coctx = NULL;
        watch->subsystem->cleanup(coctx);
    }
}

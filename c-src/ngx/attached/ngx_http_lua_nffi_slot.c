/*
 * ngx_http_lua_nffi_slot.c - the attached glue: coroutines wait on semaphores
 * of ngx_lua. ngx_lua removes a killed coroutine from its semaphore without a
 * notification, so busy slots are checked every 20 ms.
 */

#include "ngx_http_lua_nffi_slot.h"
#include "ngx_http_lua_nffi_attached.h"
#include "ngx_http_lua_nffi_core.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_layout.h"
#include "ngx_http_lua_nffi_request.h"

#include <dlfcn.h>


/* ms between two checks for killed coroutines */
#define NGX_HTTP_LUA_NFFI_LOOK          20

/* slots per check; the others follow in the next check */
#define NGX_HTTP_LUA_NFFI_LOOKS         4096

/* ms, the longest wait on a semaphore, after which the wait is renewed */
#define NGX_HTTP_LUA_NFFI_LONGEST       NGX_MAX_INT32_VALUE

/* number of functions that a subsystem must have, so that coroutines wait */
#define NGX_HTTP_LUA_NFFI_NEEDED        6

/* bytes of memory for a result that a free slot keeps */
#define NGX_HTTP_LUA_NFFI_KEPT          16384


static ngx_http_lua_nffi_subsystem_t  ngx_http_lua_nffi_subsystems[2];
static ngx_uint_t                     ngx_http_lua_nffi_has_subsystem[2];

static ngx_queue_t            ngx_http_lua_nffi_free_slots[2];
static ngx_queue_t            ngx_http_lua_nffi_busy_slots;
static ngx_event_t            ngx_http_lua_nffi_look_event;
static volatile ngx_cycle_t  *ngx_http_lua_nffi_slot_cycle;
static ngx_pid_t              ngx_http_lua_nffi_slot_owner;

static ngx_http_lua_nffi_slot_t  *ngx_http_lua_nffi_last_slot;


static void ngx_http_lua_nffi_look_handler(ngx_event_t *ev);


/* functions that lua-resty-core also calls by FFI */

const char *
ngx_http_lua_nonblocking_ffi_subsystem(uint32_t is_stream)
{
    size_t       i;
    void       **functions = (void **)
                                 &ngx_http_lua_nffi_subsystems[is_stream];
    const char  *name;

    static const char  *names[2][8] = {
        { "ngx_http_lua_ffi_sema_new", "ngx_http_lua_ffi_sema_post",
          "ngx_http_lua_ffi_sema_wait", "ngx_http_lua_ffi_sema_count",
          "ngx_http_lua_ffi_sema_gc", "lua_isyieldable",
          "ngx_http_lua_ffi_get_phase", NULL },
        { "ngx_stream_lua_ffi_sema_new", "ngx_stream_lua_ffi_sema_post",
          "ngx_stream_lua_ffi_sema_wait", "ngx_stream_lua_ffi_sema_count",
          "ngx_stream_lua_ffi_sema_gc", "lua_isyieldable",
          "ngx_stream_lua_ffi_get_phase", NULL }
    };

    for (i = 0; (name = names[is_stream][i]) != NULL; i++) {
        functions[i] = dlsym(RTLD_DEFAULT, name);

        if (functions[i] == NULL && i < NGX_HTTP_LUA_NFFI_NEEDED) {
            return name;
        }
    }

    ngx_http_lua_nffi_has_subsystem[is_stream] = 1;

    return NULL;
}


const ngx_http_lua_nffi_subsystem_t *
ngx_http_lua_nffi_subsystem_of(ngx_http_request_t *r)
{
    ngx_uint_t  i = ngx_http_lua_nffi_is_stream(r);

    return ngx_http_lua_nffi_has_subsystem[i]
           ? &ngx_http_lua_nffi_subsystems[i] : NULL;
}


static ngx_queue_t *
ngx_http_lua_nffi_free_slots_of(const ngx_http_lua_nffi_subsystem_t *subsystem)
{
    return &ngx_http_lua_nffi_free_slots[subsystem
                                         - ngx_http_lua_nffi_subsystems];
}


static void
ngx_http_lua_nffi_slot_destroy(ngx_http_lua_nffi_slot_t *slot)
{
    ngx_queue_remove(&slot->queue);
    ngx_queue_remove(&slot->of_request);
    slot->subsystem->sema_gc(slot->sem);

    if (slot->buffer) {
        ngx_free(slot->buffer);
    }

    ngx_free(slot);
}


/* Destroys those of a cycle. The slot of a call that still waits is forgotten:
   its response would be copied into it. In an nginx of one process, which goes
   on with another cycle, the call is cancelled. */

static void
ngx_http_lua_nffi_destroy_slots(ngx_queue_t *list, void *cycle)
{
    ngx_queue_t                 *q, *next;
    ngx_http_lua_nffi_slot_t    *slot;
    ngx_http_lua_nffi_waiter_t  *waiter;

    for (q = ngx_queue_head(list); q != ngx_queue_sentinel(list); q = next) {
        next = ngx_queue_next(q);
        slot = ngx_queue_data(q, ngx_http_lua_nffi_slot_t, queue);

        if (slot->cycle != cycle) {
            continue;
        }

        waiter = slot->waiter;

        if (waiter) {
            waiter->request = NULL;

            if (!ngx_terminate && !ngx_quit && !ngx_exiting) {
                waiter->cancel(waiter);
            }

            waiter->coctx = NULL;
        }

        ngx_http_lua_nffi_slot_destroy(slot);
    }
}


/* the cycle ends; ngx_lua's memory of the semaphores is freed soon after */

static void
ngx_http_lua_nffi_slots_cleanup(void *data)
{
    if (ngx_http_lua_nffi_slot_owner != ngx_pid) {
        return;
    }

    ngx_http_lua_nffi_destroy_slots(&ngx_http_lua_nffi_free_slots[0], data);
    ngx_http_lua_nffi_destroy_slots(&ngx_http_lua_nffi_free_slots[1], data);
    ngx_http_lua_nffi_destroy_slots(&ngx_http_lua_nffi_busy_slots, data);

    if (ngx_http_lua_nffi_slot_cycle == data) {
        ngx_http_lua_nffi_slot_cycle = NULL;
    }
}


/* once for each process, and for each cycle in it */

static ngx_int_t
ngx_http_lua_nffi_slots_init(void)
{
    ngx_event_t         *ev = &ngx_http_lua_nffi_look_event;
    ngx_pool_cleanup_t  *cln;

    if (ngx_http_lua_nffi_slot_owner != ngx_pid) {
        ngx_queue_init(&ngx_http_lua_nffi_free_slots[0]);
        ngx_queue_init(&ngx_http_lua_nffi_free_slots[1]);
        ngx_queue_init(&ngx_http_lua_nffi_busy_slots);
        ngx_memzero(ev, sizeof(ngx_event_t));
        ev->handler = ngx_http_lua_nffi_look_handler;
        ngx_http_lua_nffi_slot_owner = ngx_pid;
        ngx_http_lua_nffi_slot_cycle = NULL;
    }

    if (ngx_http_lua_nffi_slot_cycle == ngx_cycle) {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(((ngx_cycle_t *) ngx_cycle)->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_lua_nffi_slots_cleanup;
    cln->data = (void *) ngx_cycle;
    ev->log = ngx_cycle->log;
    ngx_http_lua_nffi_set_cancelable(ev, 1);
    ngx_http_lua_nffi_slot_cycle = ngx_cycle;

    return NGX_OK;
}


ngx_http_lua_nffi_slot_t *
ngx_http_lua_nffi_slot_get(const ngx_http_lua_nffi_subsystem_t *subsystem)
{
    char                      *err;
    ngx_queue_t               *list, *q;
    ngx_http_lua_nffi_slot_t  *slot;

    if (ngx_http_lua_nffi_slots_init() != NGX_OK) {
        return NULL;
    }

    list = ngx_http_lua_nffi_free_slots_of(subsystem);

    if (!ngx_queue_empty(list)) {
        q = ngx_queue_head(list);
        slot = ngx_queue_data(q, ngx_http_lua_nffi_slot_t, queue);

        if (slot->cycle == ngx_cycle) {
            return slot;
        }
    }

    slot = ngx_calloc(sizeof(ngx_http_lua_nffi_slot_t), ngx_cycle->log);
    if (slot == NULL) {
        return NULL;
    }

    if (subsystem->sema_new(&slot->sem, 0, &err) != NGX_OK) {
        ngx_free(slot);
        return NULL;
    }

    slot->subsystem = subsystem;
    slot->cycle = ngx_cycle;
    ngx_queue_init(&slot->of_request);
    ngx_queue_insert_head(list, &slot->queue);

    return slot;
}


void
ngx_http_lua_nffi_slot_take(ngx_http_lua_nffi_slot_t *slot,
    ngx_http_lua_nffi_waiter_t *waiter, void *coroutine)
{
    u_char  err[128];
    size_t  size = sizeof(err);

    ngx_queue_remove(&slot->queue);
    ngx_queue_insert_tail(&ngx_http_lua_nffi_busy_slots, &slot->queue);
    slot->state = NGX_HTTP_LUA_NFFI_SLOT_WAITING;
    slot->waiter = waiter;
    slot->coroutine = coroutine;
    slot->expires = ngx_current_msec + NGX_HTTP_LUA_NFFI_LONGEST;
    ngx_http_lua_nffi_last_slot = slot;
    ngx_http_lua_nffi_request_add_slot(waiter->request, &slot->of_request);

    /* the phase was checked before; this registers the coroutine, a timer and
       a clean-up */

    (void) slot->subsystem->sema_wait(
               ngx_http_lua_nffi_untagged(waiter->request), slot->sem,
               NGX_HTTP_LUA_NFFI_LONGEST, err, &size);

    if (!ngx_http_lua_nffi_look_event.timer_set) {
        ngx_add_timer(&ngx_http_lua_nffi_look_event, NGX_HTTP_LUA_NFFI_LOOK);
    }
}


ngx_uint_t
ngx_http_lua_nffi_slot_is_awaited(ngx_http_lua_nffi_slot_t *slot)
{
    return slot->subsystem->sema_count(slot->sem) < 0;
}


/* a slot whose semaphore still has a resource cannot be used again */

static void
ngx_http_lua_nffi_slot_free(ngx_http_lua_nffi_slot_t *slot)
{
    if (slot->cycle != ngx_cycle
        || slot->subsystem->sema_count(slot->sem) != 0)
    {
        ngx_http_lua_nffi_slot_destroy(slot);
        return;
    }

    slot->state = NGX_HTTP_LUA_NFFI_SLOT_FREE;
    slot->waiter = NULL;
    ngx_queue_remove(&slot->of_request);
    ngx_queue_init(&slot->of_request);
    ngx_queue_remove(&slot->queue);
    ngx_queue_insert_head(ngx_http_lua_nffi_free_slots_of(slot->subsystem),
                          &slot->queue);
}


static ngx_int_t
ngx_http_lua_nffi_slot_reserve(ngx_http_lua_nffi_slot_t *slot, size_t size)
{
    if (size <= slot->room) {
        return NGX_OK;
    }

    if (slot->buffer) {
        ngx_free(slot->buffer);
    }

    slot->room = ngx_max(size, 1024);
    slot->buffer = ngx_alloc(slot->room, ngx_cycle->log);

    if (slot->buffer == NULL) {
        slot->room = 0;
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_lua_nffi_slot_fill(ngx_http_lua_nffi_slot_t *slot,
    const ngx_http_lua_nffi_result_t *result)
{
    u_char                       *p;
    ngx_http_lua_nffi_outcome_t  *outcome = &slot->outcome;

    static const char  no_memory[] = "not enough memory for the response";

    ngx_memzero(outcome, sizeof(*outcome));

    if (ngx_http_lua_nffi_slot_reserve(slot,
                                       result->size + result->detail_size)
        != NGX_OK)
    {
        outcome->kind = NGX_HTTP_LUA_NFFI_FAILED;
        outcome->data = (const u_char *) no_memory;
        outcome->size = sizeof(no_memory) - 1;
        outcome->code = "no_memory";
        return;
    }

    outcome->kind = result->kind;
    outcome->rc = result->rc;
    outcome->code = result->code;
    p = slot->buffer;

    if (result->data) {
        outcome->data = result->size ? p : (const u_char *) "";
        outcome->size = result->size;
        p = ngx_cpymem(p, result->data, result->size);
    }

    if (result->detail_size) {
        outcome->detail = p;
        outcome->detail_size = result->detail_size;
        ngx_memcpy(p, result->detail, result->detail_size);
    }
}


void
ngx_http_lua_nffi_slot_post(ngx_http_lua_nffi_slot_t *slot)
{
    slot->waiter = NULL;

    /* otherwise it was just killed, and the next check frees the slot */

    if (ngx_http_lua_nffi_slot_is_awaited(slot)) {
        slot->state = NGX_HTTP_LUA_NFFI_SLOT_POSTED;
        (void) slot->subsystem->sema_post(slot->sem, 1);
    }
}


/* Ends the call of a coroutine that was killed, if it has not ended. */

static void
ngx_http_lua_nffi_slot_gone(ngx_http_lua_nffi_slot_t *slot)
{
    ngx_http_lua_nffi_waiter_t  *waiter = slot->waiter;

    if (waiter) {
        waiter->request = NULL;
        waiter->cancel(waiter);
    }

    ngx_http_lua_nffi_slot_free(slot);
}


/*
 * Finds the timer of a wait in nginx's tree. ngx_lua's structure of a coroutine
 * is its `data`, and begins with the semaphore and the coroutine. Timers of
 * equal times can be on both sides of a node.
 */

static ngx_event_t *
ngx_http_lua_nffi_find_timer(ngx_http_lua_nffi_slot_t *slot,
    ngx_rbtree_node_t *node)
{
    void         **context;
    ngx_event_t   *ev;

    while (node != ngx_event_timer_rbtree.sentinel) {

        if (node->key != slot->expires) {
            node = (ngx_rbtree_key_int_t) (slot->expires - node->key) < 0
                   ? node->left : node->right;
            continue;
        }

        ev = ngx_rbtree_data(node, ngx_event_t, timer);
        context = ev->data;

        if (context && context[0] == slot->sem
            && context[1] == slot->coroutine)
        {
            return ev;
        }

        ev = ngx_http_lua_nffi_find_timer(slot, node->left);

        if (ev) {
            return ev;
        }

        node = node->right;
    }

    return NULL;
}


/*
 * When ngx_lua kills a light thread, or ends a request, it does not clean up
 * after a coroutine inside a thread: its timer would stay in the tree, in
 * freed memory. This removes the timer, and ngx_lua may safely remove it again.
 * The queue is the first field of a semaphore.
 */

static void
ngx_http_lua_nffi_slot_detach(ngx_http_lua_nffi_slot_t *slot)
{
    ngx_event_t  *ev;
    ngx_queue_t  *q, *waiting = slot->sem;

    ev = ngx_http_lua_nffi_find_timer(slot, ngx_event_timer_rbtree.root);
    q = ngx_queue_head(waiting);

    if (ev == NULL || q == waiting || ngx_queue_next(q) != waiting
        || ngx_queue_prev(q) != waiting)
    {
        return;
    }

    ngx_del_timer(ev);
    ngx_queue_remove(q);
    ngx_queue_init(q);
}


void
ngx_http_lua_nffi_slot_abandon(ngx_http_lua_nffi_slot_t *slot)
{
    ngx_http_lua_nffi_waiter_t  *waiter = slot->waiter;

    ngx_queue_remove(&slot->of_request);
    ngx_queue_init(&slot->of_request);

    /* one that was posted is still in the queue until it is resumed */

    ngx_http_lua_nffi_slot_detach(slot);

    /* ngx_lua may still use the semaphore in this turn */

    slot->state = NGX_HTTP_LUA_NFFI_SLOT_ABANDONED;

    if (waiter) {
        waiter->request = NULL;
        waiter->cancel(waiter);
    }
}


/* the coroutine was inside a light thread that was killed */

void
ngx_http_lua_nonblocking_ffi_killed(void *coroutine)
{
    ngx_queue_t               *q;
    ngx_http_lua_nffi_slot_t  *slot;

    if (ngx_http_lua_nffi_slot_owner != ngx_pid) {
        return;
    }

    for (q = ngx_queue_head(&ngx_http_lua_nffi_busy_slots);
         q != ngx_queue_sentinel(&ngx_http_lua_nffi_busy_slots);
         q = ngx_queue_next(q))
    {
        slot = ngx_queue_data(q, ngx_http_lua_nffi_slot_t, queue);

        if (slot->coroutine == coroutine
            && slot->state != NGX_HTTP_LUA_NFFI_SLOT_ABANDONED)
        {
            ngx_http_lua_nffi_slot_abandon(slot);
            return;
        }
    }
}


ngx_uint_t
ngx_http_lua_nffi_slot_check(ngx_http_lua_nffi_slot_t *slot,
    ngx_http_lua_nffi_waiter_t *waiter)
{
    if (slot->waiter != waiter || ngx_http_lua_nffi_slot_is_awaited(slot)) {
        return 1;
    }

    ngx_http_lua_nffi_slot_gone(slot);

    return 0;
}


/*
 * The count is -1 while a coroutine waits, and 0 from the post until the
 * coroutine is resumed. A coroutine that was killed between the two leaves a
 * resource in the semaphore.
 */

static void
ngx_http_lua_nffi_look_handler(ngx_event_t *ev)
{
    int                        count;
    ngx_uint_t                 n;
    ngx_queue_t               *q, *list = &ngx_http_lua_nffi_busy_slots;
    ngx_queue_t                seen;
    ngx_http_lua_nffi_slot_t  *slot;

    ngx_queue_init(&seen);

    for (n = 0; n < NGX_HTTP_LUA_NFFI_LOOKS && !ngx_queue_empty(list); n++) {
        q = ngx_queue_head(list);
        slot = ngx_queue_data(q, ngx_http_lua_nffi_slot_t, queue);
        count = slot->subsystem->sema_count(slot->sem);

        /* its count may be 0 although a resource is left */

        if (slot->state == NGX_HTTP_LUA_NFFI_SLOT_ABANDONED) {
            ngx_http_lua_nffi_slot_destroy(slot);
            continue;
        }

        if ((slot->state == NGX_HTTP_LUA_NFFI_SLOT_WAITING && count >= 0)
            || (slot->state == NGX_HTTP_LUA_NFFI_SLOT_POSTED && count > 0))
        {
            ngx_http_lua_nffi_slot_gone(slot);
            continue;
        }

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&seen, q);
    }

    if (!ngx_queue_empty(&seen)) {
        ngx_queue_add(list, &seen);
    }

    if (!ngx_queue_empty(list) && !ev->timer_set) {
        ngx_add_timer(ev, NGX_HTTP_LUA_NFFI_LOOK);
    }
}


void *
ngx_http_lua_nonblocking_ffi_parked(void)
{
    return ngx_http_lua_nffi_last_slot;
}


/*
 * Ends the wait of a coroutine that runs now. Lua still reads the outcome, and
 * ngx_lua the semaphore: the next look destroys a slot of an earlier cycle, or
 * one whose semaphore has a resource left.
 */

static void
ngx_http_lua_nffi_slot_resumed(ngx_http_lua_nffi_slot_t *slot)
{
    if (slot->cycle == ngx_cycle
        && slot->subsystem->sema_count(slot->sem) == 0)
    {
        ngx_http_lua_nffi_slot_free(slot);
        return;
    }

    ngx_queue_remove(&slot->of_request);
    ngx_queue_init(&slot->of_request);
    slot->state = NGX_HTTP_LUA_NFFI_SLOT_ABANDONED;
}


const ngx_http_lua_nffi_outcome_t *
ngx_http_lua_nonblocking_ffi_outcome(void *data)
{
    ngx_http_lua_nffi_slot_t  *slot = data;

    if (slot->state != NGX_HTTP_LUA_NFFI_SLOT_POSTED) {
        return NULL;
    }

    if (slot->room <= NGX_HTTP_LUA_NFFI_KEPT) {
        ngx_http_lua_nffi_slot_resumed(slot);
    }

    return &slot->outcome;
}


void
ngx_http_lua_nonblocking_ffi_release_outcome(void *data)
{
    ngx_http_lua_nffi_slot_t  *slot = data;

    if (slot->state == NGX_HTTP_LUA_NFFI_SLOT_POSTED) {
        ngx_free(slot->buffer);
        slot->buffer = NULL;
        slot->room = 0;
        ngx_http_lua_nffi_slot_resumed(slot);
    }
}


int
ngx_http_lua_nonblocking_ffi_wait_on(ngx_http_request_t *r, void *data)
{
    u_char                     err[128];
    size_t                     size = sizeof(err);
    ngx_http_lua_nffi_slot_t  *slot = data;

    return slot->subsystem->sema_wait(ngx_http_lua_nffi_untagged(r), slot->sem,
                                      NGX_HTTP_LUA_NFFI_LONGEST, err, &size);
}

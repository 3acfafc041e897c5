/*
 * ngx_http_lua_nffi_slot.c - the attached glue: the pool of slots, and a slot
 * from the yield of its coroutine to its end.
 */

#include "ngx_http_lua_nffi_slot.h"
#include "ngx_http_lua_nffi_attached.h"


static ngx_queue_t  ngx_http_lua_nffi_free_slots[NGX_HTTP_LUA_NFFI_SUBSYSTEMS];
static ngx_queue_t  ngx_http_lua_nffi_busy_slots;

static volatile ngx_cycle_t  *ngx_http_lua_nffi_slot_cycle;
static ngx_pid_t              ngx_http_lua_nffi_slot_owner;

/* its coroutine has not yielded yet */
static ngx_http_lua_nffi_slot_t  *ngx_http_lua_nffi_taken_slot;


static void
ngx_http_lua_nffi_slot_destroy(ngx_http_lua_nffi_slot_t *slot)
{
    ngx_queue_remove(&slot->queue);
    slot->watch.subsystem->sema_gc(slot->watch.sem);
    ngx_http_lua_nffi_delivery_free(&slot->delivery);
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

        ngx_http_lua_nffi_watch_drop(&slot->watch);
        ngx_http_lua_nffi_slot_destroy(slot);
    }
}


/* the cycle ends; ngx_lua's memory of the semaphores is freed soon after */

static void
ngx_http_lua_nffi_slots_cleanup(void *data)
{
    ngx_uint_t  i;

    if (ngx_http_lua_nffi_slot_owner != ngx_pid) {
        return;
    }

    for (i = 0; i < NGX_HTTP_LUA_NFFI_SUBSYSTEMS; i++) {
        ngx_http_lua_nffi_destroy_slots(&ngx_http_lua_nffi_free_slots[i], data);
    }

    ngx_http_lua_nffi_destroy_slots(&ngx_http_lua_nffi_busy_slots, data);

    if (ngx_http_lua_nffi_slot_cycle == data) {
        ngx_http_lua_nffi_slot_cycle = NULL;
    }
}


/* once for each process, and for each cycle in it */

static ngx_int_t
ngx_http_lua_nffi_slots_init(void)
{
    ngx_uint_t           i;
    ngx_pool_cleanup_t  *cln;

    if (ngx_http_lua_nffi_slot_owner != ngx_pid) {

        for (i = 0; i < NGX_HTTP_LUA_NFFI_SUBSYSTEMS; i++) {
            ngx_queue_init(&ngx_http_lua_nffi_free_slots[i]);
        }

        ngx_queue_init(&ngx_http_lua_nffi_busy_slots);
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
    ngx_http_lua_nffi_slot_cycle = ngx_cycle;

    return NGX_OK;
}


static ngx_queue_t *
ngx_http_lua_nffi_free_slots_of(const ngx_http_lua_nffi_subsystem_t *subsystem)
{
    return &ngx_http_lua_nffi_free_slots[
                ngx_http_lua_nffi_subsystem_index(subsystem)];
}


/* a slot whose semaphore still has a resource cannot be used again */

static void
ngx_http_lua_nffi_slot_free(ngx_http_lua_nffi_slot_t *slot)
{
    if (slot->cycle != ngx_cycle
        || slot->watch.subsystem->sema_count(slot->watch.sem) != 0)
    {
        ngx_http_lua_nffi_slot_destroy(slot);
        return;
    }

    ngx_queue_remove(&slot->queue);
    ngx_queue_insert_head(
        ngx_http_lua_nffi_free_slots_of(slot->watch.subsystem), &slot->queue);
}


/* the coroutine has ended instead of being resumed */

static void
ngx_http_lua_nffi_slot_ended(ngx_http_lua_nffi_watch_t *watch)
{
    ngx_http_lua_nffi_slot_t    *slot;
    ngx_http_lua_nffi_waiter_t  *waiter;

    slot = (ngx_http_lua_nffi_slot_t *)
               ((u_char *) watch - offsetof(ngx_http_lua_nffi_slot_t, watch));

    if (slot == ngx_http_lua_nffi_taken_slot) {
        ngx_http_lua_nffi_taken_slot = NULL;
    }

    waiter = slot->waiter;

    if (waiter) {
        slot->waiter = NULL;
        waiter->coctx = NULL;
        waiter->cancel(waiter);
    }

    ngx_http_lua_nffi_slot_free(slot);
}


static ngx_http_lua_nffi_slot_t *
ngx_http_lua_nffi_slot_new(ngx_http_lua_nffi_subsystem_t *subsystem)
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

    if (subsystem->sema_new(&slot->watch.sem, 0, &err) != NGX_OK) {
        ngx_free(slot);
        return NULL;
    }

    slot->watch.subsystem = subsystem;
    slot->watch.ended = ngx_http_lua_nffi_slot_ended;
    slot->cycle = ngx_cycle;
    ngx_queue_insert_head(list, &slot->queue);

    return slot;
}


ngx_http_lua_nffi_slot_t *
ngx_http_lua_nffi_slot_get(ngx_http_lua_nffi_subsystem_t *subsystem,
    ngx_http_request_t *r, void *lua_state, ngx_http_lua_nffi_error_t *err)
{
    ngx_int_t                  rc;
    ngx_http_lua_nffi_slot_t  *slot;

    slot = ngx_http_lua_nffi_slot_new(subsystem);

    if (slot == NULL) {
        (void) ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        return NULL;
    }

    rc = ngx_http_lua_nffi_watch_begin(&slot->watch, r, lua_state, err);

    if (rc == NGX_ABORT) {
        /* it stays in memory, as its semaphore does; there is one at most */
        ngx_queue_remove(&slot->queue);
        ngx_queue_init(&slot->queue);
    }

    return rc == NGX_OK ? slot : NULL;
}


void
ngx_http_lua_nffi_slot_put(ngx_http_lua_nffi_slot_t *slot)
{
    ngx_http_lua_nffi_watch_drop(&slot->watch);
}


void
ngx_http_lua_nffi_slot_take(ngx_http_lua_nffi_slot_t *slot,
    ngx_http_lua_nffi_waiter_t *waiter)
{
    ngx_http_lua_nffi_watch_start(&slot->watch);
    ngx_queue_remove(&slot->queue);
    ngx_queue_insert_tail(&ngx_http_lua_nffi_busy_slots, &slot->queue);
    slot->waiter = waiter;
    ngx_http_lua_nffi_taken_slot = slot;
}


ngx_http_lua_nffi_slot_t *
ngx_http_lua_nffi_slot_taken(void)
{
    ngx_http_lua_nffi_slot_t  *slot = ngx_http_lua_nffi_taken_slot;

    ngx_http_lua_nffi_taken_slot = NULL;

    return slot;
}


void
ngx_http_lua_nffi_slot_cancel(ngx_http_lua_nffi_slot_t *slot)
{
    ngx_http_lua_nffi_watch_drop(&slot->watch);
    ngx_http_lua_nffi_slot_ended(&slot->watch);
}


/* In the meantime the coroutine may call again, with another slot. */

void
ngx_http_lua_nffi_slot_resume(ngx_http_lua_nffi_slot_t *slot)
{
    slot->waiter = NULL;
    ngx_http_lua_nffi_delivery_offer(&slot->delivery);
    ngx_http_lua_nffi_watch_resume(&slot->watch);

    /* if the coroutine has ended instead */
    ngx_http_lua_nffi_delivery_offer(NULL);
    ngx_http_lua_nffi_delivery_return(&slot->delivery);
    ngx_http_lua_nffi_slot_free(slot);
}

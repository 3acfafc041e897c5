/*
 * ngx_http_lua_nffi_attached.c - the attached glue: the door to ngx_lua,
 * ngx_http_lua_nffi_coroutine.h. It uses only the semaphore functions that
 * lua-resty-core also calls. A `coctx` is the slot on which a coroutine waits.
 */

#include "ngx_http_lua_nffi_attached.h"
#include "ngx_http_lua_nffi_client.h"
#include "ngx_http_lua_nffi_coroutine.h"
#include "ngx_http_lua_nffi_error.h"
#include "ngx_http_lua_nffi_handshake.h"
#include "ngx_http_lua_nffi_layout.h"
#include "ngx_http_lua_nffi_request.h"
#include "ngx_http_lua_nffi_slot.h"
#include "ngx_http_lua_nffi_subsystem.h"
#include "ngx_http_lua_nffi_worker.h"

#include <link.h>
#include <dlfcn.h>
#include <poll.h>


/* of the calling coroutine, valid until the call has returned */

static void  *ngx_http_lua_nffi_lua_state;


void
ngx_http_lua_nonblocking_ffi_enter(void *coroutine)
{
    ngx_http_lua_nffi_lua_state = coroutine;
}


/* below a C function a yield would raise an error after the task is queued */

static ngx_uint_t
ngx_http_lua_nffi_can_yield(const ngx_http_lua_nffi_subsystem_t *subsystem)
{
    return ngx_http_lua_nffi_lua_state != NULL
           && subsystem->is_yieldable(ngx_http_lua_nffi_lua_state);
}


struct ngx_http_lua_co_ctx_s *
ngx_http_lua_nffi_find_coroutine(ngx_http_request_t *r,
    ngx_http_lua_nffi_error_t *err)
{
    ngx_int_t                       rc;
    ngx_http_lua_nffi_slot_t       *slot;
    ngx_http_lua_nffi_subsystem_t  *subsystem;

    if (ngx_http_lua_nffi_check_thread(err) != NGX_OK) {
        return NULL;
    }

    subsystem = ngx_http_lua_nffi_subsystem_of(r);

    if (subsystem == NULL) {
        (void) ngx_http_lua_nffi_fail(err, "wrong_phase", "the call belongs to "
                                      "no request of http {} or stream {}");
        return NULL;
    }

    if (subsystem->is_unknown) {
        (void) ngx_http_lua_nffi_watch_unsupported(err);
        return NULL;
    }

    slot = ngx_http_lua_nffi_slot_get(subsystem);

    if (slot == NULL) {
        (void) ngx_http_lua_nffi_fail(err, "no_memory", "not enough memory");
        return NULL;
    }

    /* with a timeout of 0 it only checks the phase */

    err->size = sizeof(err->message);
    rc = subsystem->sema_wait(ngx_http_lua_nffi_untagged(r), slot->watch.sem, 0,
                              err->message, &err->size);

    if (rc == NGX_ERROR) {
        err->code = "wrong_phase";
        err->rc = 0;
        return NULL;
    }

    /* the requests of a handshake and of timers have no connection */

    if (ngx_http_lua_nffi_connection_of(r)->fd == (ngx_socket_t) -1
        && ngx_http_lua_nffi_check_handshake(r, subsystem, err) != NGX_OK)
    {
        return NULL;
    }

    if (!ngx_http_lua_nffi_can_yield(subsystem)) {
        (void) ngx_http_lua_nffi_fail(err, "wrong_phase", "attempt to yield "
                                      "across C-call boundary (a callback of "
                                      "string.gsub() or table.sort(), "
                                      "require())");
        return NULL;
    }

    return (struct ngx_http_lua_co_ctx_s *) slot;
}


static ngx_http_lua_nffi_slot_t *
ngx_http_lua_nffi_slot_of(ngx_http_lua_nffi_waiter_t *waiter)
{
    return (ngx_http_lua_nffi_slot_t *) waiter->coctx;
}


ngx_int_t
ngx_http_lua_nffi_park_coroutine(ngx_http_lua_nffi_waiter_t *waiter,
    struct ngx_http_lua_co_ctx_s *coctx, ngx_http_lua_nffi_error_t *err)
{
    ngx_http_lua_nffi_slot_t  *slot = (ngx_http_lua_nffi_slot_t *) coctx;

    if (ngx_http_lua_nffi_slot_take(slot, waiter, ngx_http_lua_nffi_lua_state,
                                    err)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    waiter->coctx = coctx;

    return NGX_OK;
}


void
ngx_http_lua_nffi_unpark_coroutine(ngx_http_lua_nffi_waiter_t *waiter)
{
    ngx_http_lua_nffi_slot_t  *slot = ngx_http_lua_nffi_slot_of(waiter);

    /* none: its cycle has ended */

    if (slot) {
        slot->waiter = NULL;
    }
}


void
ngx_http_lua_nffi_give_result(ngx_http_lua_nffi_waiter_t *waiter,
    const ngx_http_lua_nffi_result_t *result, nffi_host_t *host,
    nffi_host_response_t *response)
{
    ngx_http_lua_nffi_slot_t  *slot = ngx_http_lua_nffi_slot_of(waiter);

    if (response) {
        ngx_http_lua_nffi_delivery_lend(&slot->delivery, result, host,
                                        response);

    } else {
        ngx_http_lua_nffi_delivery_set(&slot->delivery, result);
    }
}


void
ngx_http_lua_nffi_resume_coroutine(ngx_http_lua_nffi_waiter_t *waiter)
{
    ngx_http_lua_nffi_slot_t  *slot = ngx_http_lua_nffi_slot_of(waiter);

    waiter->coctx = NULL;
    ngx_http_lua_nffi_slot_resume(slot);
}


/* the request exists while its coroutine is watched, or its end is awaited */

ngx_log_t *
ngx_http_lua_nffi_request_log(ngx_http_lua_nffi_waiter_t *waiter)
{
    ngx_connection_t          *c;
    ngx_http_log_ctx_t        *log_ctx;
    ngx_http_lua_nffi_slot_t  *slot = ngx_http_lua_nffi_slot_of(waiter);

    if (slot && slot->watch.coctx == NULL) {
        return NULL;
    }

    c = ngx_http_lua_nffi_connection_of(waiter->request);

    if (c->fd != (ngx_socket_t) -1
        && !ngx_http_lua_nffi_is_stream(waiter->request))
    {
        log_ctx = c->log->data;
        log_ctx->current_request = waiter->request;
    }

    return c->log;
}


ngx_uint_t
ngx_http_lua_nffi_has_client(ngx_http_request_t *r)
{
    return ngx_http_lua_nffi_connection_of(r)->fd != (ngx_socket_t) -1
           && !ngx_http_lua_nffi_request_has_eof(r);
}


/* no exported function shows whether a coroutine is in ngx.flush(), but the
   write handler may be called at any time, as nginx does */

void
ngx_http_lua_nffi_wake_flush(ngx_http_request_t *r)
{
    ngx_connection_t  *c = ngx_http_lua_nffi_connection_of(r);

    if (!ngx_http_lua_nffi_is_stream(r)
        && ngx_http_lua_nffi_is_broken_connection(c))
    {
        c->write->ready = 1;
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


ngx_uint_t
ngx_http_lua_nffi_client_is_gone(ngx_http_request_t *r, ngx_uint_t ask)
{
    struct pollfd      pfd;
    ngx_connection_t  *c = ngx_http_lua_nffi_connection_of(r);

    if (!ngx_http_lua_nffi_has_client(r)) {
        return 0;
    }

    if (ngx_http_lua_nffi_is_broken_connection(c)
        || c->read->error || c->write->error)
    {
        return 1;
    }

    if (!ask || ngx_http_lua_nffi_is_quic(c)) {
        return 0;
    }

    pfd.fd = c->fd;
    pfd.events = 0;
    pfd.revents = 0;

    if (poll(&pfd, 1, 0) != 1 || !(pfd.revents & (POLLERR|POLLHUP))) {
        return 0;
    }

    ngx_http_lua_nffi_break_connection(c);

    return 1;
}


int
ngx_http_lua_nonblocking_ffi_is_openresty(void)
{
    return ngx_http_lua_nffi_is_openresty();
}


uint32_t
ngx_http_lua_nonblocking_ffi_compared(uint32_t done)
{
    static ngx_pid_t  compared;

    if (done) {
        compared = ngx_pid;
    }

    return compared == ngx_pid;
}


int
ngx_http_lua_nonblocking_ffi_self_test(uint32_t workers,
    ngx_http_lua_nffi_error_t *err)
{
    return ngx_http_lua_nffi_check_layout(workers, err);
}


typedef struct {
    const void                    *symbol;   /* NULL: the executable */
    u_char                        *id;
    size_t                         room;
    size_t                         size;
} ngx_http_lua_nffi_build_id_t;


static ngx_uint_t
ngx_http_lua_nffi_object_has(struct dl_phdr_info *info, const void *symbol)
{
    size_t             i;
    const ElfW(Phdr)  *ph = info->dlpi_phdr;

    for (i = 0; i < info->dlpi_phnum; i++) {
        if (ph[i].p_type == PT_LOAD
            && (uintptr_t) symbol - (info->dlpi_addr + ph[i].p_vaddr)
               < ph[i].p_memsz)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_lua_nffi_read_notes(ngx_http_lua_nffi_build_id_t *wanted,
    const u_char *note, const u_char *end)
{
    const u_char      *id;
    const ElfW(Nhdr)  *header;

    while (note + sizeof(*header) <= end) {
        header = (const ElfW(Nhdr) *) note;
        id = note + sizeof(*header) + ngx_align(header->n_namesz, 4);

        if (header->n_type == NT_GNU_BUILD_ID && header->n_namesz == 4
            && ngx_memcmp(id - 4, "GNU", 4) == 0
            && wanted->room >= 2 * header->n_descsz)
        {
            (void) ngx_hex_dump(wanted->id, (u_char *) id, header->n_descsz);
            wanted->size = 2 * header->n_descsz;
            return;
        }

        note = id + ngx_align(header->n_descsz, 4);
    }
}


/* the executable is the first object */

static int
ngx_http_lua_nffi_find_build_id(struct dl_phdr_info *info, size_t size,
    void *data)
{
    size_t                         i;
    const u_char                  *note;
    const ElfW(Phdr)              *ph = info->dlpi_phdr;
    ngx_http_lua_nffi_build_id_t  *wanted = data;

    (void) size;

    if (wanted->symbol && !ngx_http_lua_nffi_object_has(info, wanted->symbol)) {
        return 0;
    }

    for (i = 0; i < info->dlpi_phnum && wanted->size == 0; i++) {
        if (ph[i].p_type == PT_NOTE) {
            note = (const u_char *) (info->dlpi_addr + ph[i].p_vaddr);
            ngx_http_lua_nffi_read_notes(wanted, note, note + ph[i].p_memsz);
        }
    }

    return 1;
}


size_t
ngx_http_lua_nonblocking_ffi_build_id(const char *symbol, u_char *id,
    size_t size)
{
    ngx_http_lua_nffi_build_id_t  wanted = { NULL, id, size, 0 };

    if (symbol) {
        wanted.symbol = dlsym(RTLD_DEFAULT, symbol);

        if (wanted.symbol == NULL) {
            return 0;
        }
    }

    (void) dl_iterate_phdr(ngx_http_lua_nffi_find_build_id, &wanted);

    return wanted.size;
}

/*
 * uv_loop.h - the few functions of libuv that the addon calls, declared here.
 *
 * Node's program exports libuv, but its headers come with a download that a
 * build must not need (node-api-headers has none of them). These functions
 * have had the same signatures and the two numbers below the same values
 * since libuv 1.0; the handles are opaque, their size is asked for at run
 * time, so one binary serves every Node.
 */

#ifndef NFFI_UV_LOOP_H
#define NFFI_UV_LOOP_H

#include <stddef.h>
#include <stdint.h>

typedef struct uv_loop_s uv_loop_t;
typedef struct uv_handle_s uv_handle_t;
typedef struct uv_poll_s uv_poll_t;
typedef struct uv_idle_s uv_idle_t;

#define NFFI_UV_IDLE 6        /* enum uv_handle_type */
#define NFFI_UV_POLL 8
#define NFFI_UV_READABLE 1    /* enum uv_poll_event */

extern uint64_t uv_now(const uv_loop_t *loop);
extern size_t uv_handle_size(int type);
extern void uv_handle_set_data(uv_handle_t *handle, void *data);
extern void *uv_handle_get_data(const uv_handle_t *handle);
extern void uv_unref(uv_handle_t *handle);
extern void uv_close(uv_handle_t *handle, void (*closed)(uv_handle_t *handle));

extern int uv_poll_init(uv_loop_t *loop, uv_poll_t *poll, int fd);
extern int uv_poll_start(uv_poll_t *poll, int events,
    void (*ready)(uv_poll_t *poll, int status, int events));
extern int uv_poll_stop(uv_poll_t *poll);

extern int uv_idle_init(uv_loop_t *loop, uv_idle_t *idle);
extern int uv_idle_start(uv_idle_t *idle, void (*turn)(uv_idle_t *idle));
extern int uv_idle_stop(uv_idle_t *idle);

#endif /* NFFI_UV_LOOP_H */

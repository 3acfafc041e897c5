/*
 * nffi_testhost.h - takes the place of the nginx worker in the unit tests of a
 * runtime: a real queue of libnffi, and calls that the test makes. Link with
 * -lnffi_testhost -lnffi. Not for use in a worker.
 *
 * Every function may be called from any thread of the test. The lines of
 * nffi_log() go to stderr.
 */

#ifndef NFFI_TESTHOST_H
#define NFFI_TESTHOST_H

#include "nffi.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nffi_testhost nffi_testhost_t;
typedef struct nffi_testhost_call nffi_testhost_call_t;

/* How a call ended. */
enum nffi_testhost_end {
    NFFI_TESTHOST_RESPONSE = 0, /* `rc` 0 is success: data */
    NFFI_TESTHOST_ERROR,      /* nffi_respond_error(): data, detail */
    NFFI_TESTHOST_TIMEOUT,
    NFFI_TESTHOST_CANCELLED,  /* by nffi_testhost_cancel() */
    NFFI_TESTHOST_BROKEN      /* the runtime violated the queue protocol */
};

typedef struct nffi_testhost_response {
    enum nffi_testhost_end end;
    int32_t rc;
    const void *data;         /* the call's, until nffi_testhost_free() */
    size_t size;
    const void *detail;
    size_t detail_size;
} nffi_testhost_response_t;

/* max_queue: calls that may wait for the runtime, 0: 65536. 0 or a negative
   code of nffi.h. A host is kept for the life of the process, since threads of
   the runtime may hold on to its queue. */
NFFI_API int nffi_testhost_create(nffi_testhost_t **host, uint32_t max_queue);

/* The same with a configuration, which nffi_queue_config() returns. It is
   copied; NULL: none. */
NFFI_API int nffi_testhost_create_with_config(nffi_testhost_t **host,
    uint32_t max_queue, const void *config, size_t config_size);

/* What nffi_runtime_start() is given. */
NFFI_API nffi_queue_t *nffi_testhost_queue(nffi_testhost_t *host);

/* No more calls; those under way are answered, then poll returns the end. */
NFFI_API void nffi_testhost_close(nffi_testhost_t *host);

/* Returns the number of calls without a response, cancelled ones included. */
NFFI_API uint32_t nffi_testhost_unanswered(nffi_testhost_t *host);

/*
 * Queues one call. timeout_ms 0: none. The bytes are copied. On failure a
 * negative code of nffi.h, and *call is not set.
 * blocks: no
 */
NFFI_API int nffi_testhost_call(nffi_testhost_t *host, const char *method,
    size_t method_size, const void *data, size_t size, uint32_t timeout_ms,
    nffi_testhost_call_t **call);

/*
 * The same for a response in chunks, of which `window` bytes (0: 64 KiB) may be
 * unread. nffi_testhost_read waits for the next chunk: 1, or 0 at the end;
 * nffi_testhost_wait then returns the reason. The chunk belongs to the call
 * until the next one is read.
 */
NFFI_API int nffi_testhost_stream(nffi_testhost_t *host, const char *method,
    size_t method_size, const void *data, size_t size, uint32_t timeout_ms,
    uint32_t window, nffi_testhost_call_t **call);
NFFI_API int nffi_testhost_read(nffi_testhost_call_t *call, const void **data,
    size_t *size);

/* Waits for the end of a call; blocks: until then */
NFFI_API void nffi_testhost_wait(nffi_testhost_call_t *call,
    nffi_testhost_response_t *response);

/* Cancels the call, as a disconnected client does: the runtime is notified, its
   response discarded. A call that has ended is unchanged. */
NFFI_API void nffi_testhost_cancel(nffi_testhost_call_t *call);

/* Cancels it if it has not ended, and frees it with its response. */
NFFI_API void nffi_testhost_free(nffi_testhost_call_t *call);

#ifdef __cplusplus
}
#endif

#endif /* NFFI_TESTHOST_H */

/*
 * check.h - support for the tests: a runtime over a real queue, without nginx,
 * and calls as Lua makes them. A failed check prints its line and exits.
 */

#ifndef CHECK_H
#define CHECK_H

#include "../src/runtime.h"

#include <nffi_testhost.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                      \
    do {                                                                      \
        if (!(condition)) {                                                   \
            printf("not ok - %s:%d: %s\n", __FILE__, __LINE__, #condition);   \
            exit(1);                                                          \
        }                                                                     \
    } while (0)

typedef struct {
    nffi_testhost_t *host;
    runtime_t *runtime;
} fixture_t;


static inline fixture_t
start(const char *config)
{
    char error[256] = "";
    size_t size;
    fixture_t fixture;
    nffi_queue_t *queue;

    CHECK(nffi_testhost_create_with_config(&fixture.host, 0, config,
                                           strlen(config))
          == NFFI_OK);
    queue = nffi_testhost_queue(fixture.host);
    config = nffi_queue_config(queue, &size);
    fixture.runtime = runtime_start(queue, config, size, error, sizeof(error));
    if (fixture.runtime == NULL) {
        printf("# %s\n", error);
    }

    CHECK(fixture.runtime != NULL);

    return fixture;
}


/* Under a sanitizer this also shows that nothing is leaked. */
static inline void
finish(fixture_t fixture)
{
    nffi_testhost_close(fixture.host);
    runtime_join(fixture.runtime);
}


static inline nffi_testhost_call_t *
begin(fixture_t fixture, const char *method, const char *json)
{
    nffi_testhost_call_t *call;

    CHECK(nffi_testhost_call(fixture.host, method, strlen(method), json,
                             strlen(json), 0, &call)
          == NFFI_OK);

    return call;
}


/* Waits for the response and compares it; frees the call. */
static inline void
expect(nffi_testhost_call_t *call, enum nffi_testhost_end end,
    const char *bytes)
{
    nffi_testhost_response_t response;

    nffi_testhost_wait(call, &response);

    if (response.end != end || response.size != strlen(bytes)
        || memcmp(response.data, bytes, response.size) != 0)
    {
        printf("# got %d %.*s\n", (int) response.end, (int) response.size,
               (const char *) response.data);
        printf("not ok - expected %d %s\n", (int) end, bytes);
        exit(1);
    }

    nffi_testhost_free(call);
}


static inline void
passed(const char *what)
{
    printf("ok - %s\n", what);
}

#endif /* CHECK_H */

/* test_loop.c - timers and streams of the event loop. */

#include "check.h"

#define CALLS 1000


static void
waits(void)
{
    int i;
    nffi_testhost_call_t *calls[CALLS];
    fixture_t fixture = start("");

    for (i = 0; i < CALLS; i++) {
        calls[i] = begin(fixture, "wait", i % 2 ? "{\"ms\":20}"
                                                : "{\"ms\":10}");
    }

    for (i = 0; i < CALLS; i++) {
        expect(calls[i], NFFI_TESTHOST_RESPONSE,
               i % 2 ? "{\"waited\":20}" : "{\"waited\":10}");
    }

    finish(fixture);
    passed("many wait concurrently");
}


static void
ends_with_its_caller(void)
{
    fixture_t fixture = start("");
    nffi_testhost_call_t *call = begin(fixture, "wait", "{\"ms\":3600000}");

    nffi_testhost_cancel(call);
    nffi_testhost_free(call);

    /* an hour, if the timer were still there */
    finish(fixture);
    passed("waiting ends with its caller");
}


static void
responds_before_the_end(void)
{
    fixture_t fixture = start("");
    nffi_testhost_call_t *call = begin(fixture, "wait", "{\"ms\":50}");

    nffi_testhost_close(fixture.host);
    expect(call, NFFI_TESTHOST_RESPONSE, "{\"waited\":50}");
    runtime_join(fixture.runtime);
    passed("what is under way is answered before the end");
}


static nffi_testhost_call_t *
stream(fixture_t fixture, const char *json)
{
    nffi_testhost_call_t *call;

    CHECK(nffi_testhost_stream(fixture.host, "ticks", 5, json, strlen(json), 0,
                               0, &call)
          == NFFI_OK);

    return call;
}


/* More than the 8 chunks that fit: it has to wait for its reader. */
static void
streams(void)
{
    int i;
    size_t size;
    char text[32];
    const void *chunk;
    fixture_t fixture = start("");
    nffi_testhost_call_t *call = stream(fixture, "{\"ms\":0,\"count\":100}");
    nffi_testhost_call_t *other = stream(fixture, "{\"ms\":1,\"count\":2}");

    for (i = 1; nffi_testhost_read(call, &chunk, &size) == 1; i++) {
        snprintf(text, sizeof(text), "{\"tick\":%d}\n", i);
        CHECK(size == strlen(text) && memcmp(chunk, text, size) == 0);
    }

    CHECK(i == 101);
    nffi_testhost_free(call);

    CHECK(nffi_testhost_read(other, &chunk, &size) == 1);
    nffi_testhost_free(other);  /* its reader goes */

    finish(fixture);
    passed("a stream goes at the pace of its reader, and ends with it");
}


static void
refuses(void)
{
    fixture_t fixture = start("");

    expect(begin(fixture, "wait", "{\"ms\":-1}"), NFFI_TESTHOST_ERROR,
           "ms is a number from 0 to 3600000");
    expect(begin(fixture, "wait", "{}"), NFFI_TESTHOST_ERROR,
           "request: Object item not found: ms");
    expect(begin(fixture, "ticks", "{\"ms\":1,\"count\":1}"),
           NFFI_TESTHOST_ERROR, "ticks is a stream: runtime.streams:ticks()");
    expect(begin(fixture, "nothing", "{}"), NFFI_TESTHOST_ERROR,
           "unknown method \"nothing\"");
    finish(fixture);
    passed("a wrong request is an error of its call");
}


int
main(void)
{
    waits();
    ends_with_its_caller();
    responds_before_the_end();
    streams();
    refuses();

    return 0;
}

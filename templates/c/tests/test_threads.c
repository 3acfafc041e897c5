/* test_threads.c - the methods, over the threads that serve them. */

#include "check.h"

#define CALLS 1000


static void
greets(void)
{
    fixture_t fixture = start("{\"greeting\":\"welcome\"}");

    expect(begin(fixture, "hello", "{\"name\":\" Ada \"}"),
           NFFI_TESTHOST_RESPONSE, "{\"greeting\":\"welcome Ada\"}");
    finish(fixture);
    passed("hello greets");
}


static void
refuses(void)
{
    fixture_t fixture = start("");

    expect(begin(fixture, "hello", "{\"name\":\" \"}"), NFFI_TESTHOST_ERROR,
           "the name is empty");
    expect(begin(fixture, "hello", "{\"name\":1}"), NFFI_TESTHOST_ERROR,
           "request: Expected string, got integer");
    expect(begin(fixture, "hello", "{"), NFFI_TESTHOST_ERROR,
           "no JSON at byte 1: string or '}' expected near end of file");
    expect(begin(fixture, "nothing", "{}"), NFFI_TESTHOST_ERROR,
           "unknown method \"nothing\"");
    finish(fixture);
    passed("a wrong request is an error of its call");
}


static void
responds_to_each(void)
{
    int i;
    char text[64];
    nffi_testhost_call_t *calls[CALLS];
    fixture_t fixture = start("{\"threads\":3,\"batch\":8}");

    for (i = 0; i < CALLS; i++) {
        snprintf(text, sizeof(text), "{\"name\":\"%d\"}", i);
        calls[i] = begin(fixture, "hello", text);
    }

    for (i = 0; i < CALLS; i++) {
        snprintf(text, sizeof(text), "{\"greeting\":\"hello %d\"}", i);
        expect(calls[i], NFFI_TESTHOST_RESPONSE, text);
    }

    finish(fixture);
    passed("concurrent calls get their own responses");
}


static void
counts(void)
{
    fixture_t fixture = start("{\"batch\":1}");
    nffi_testhost_call_t *endless;

    expect(begin(fixture, "primes", "{\"below\":100}"), NFFI_TESTHOST_RESPONSE,
           "{\"count\":25}");

    /* it must end, otherwise finish() would wait without end */
    endless = begin(fixture, "primes", "{\"below\":9000000000000}");
    nffi_testhost_cancel(endless);
    nffi_testhost_free(endless);
    finish(fixture);
    passed("counting ends with its caller");
}


static void
checks_configuration(void)
{
    size_t i;
    char error[256];
    nffi_testhost_t *host;
    static const char *const wrong[][2] = {
        { "{\"greting\":\"hi\"}", "configuration: 1 object item(s) left "
                                  "unpacked: greting" },
        { "{\"threads\":0}",
          "configuration: threads is a number from 1 to 64" },
        { "{\"batch\":65}", "configuration: batch is a number from 1 to 64" },
        { "threads=1", "configuration: no JSON at byte 7: invalid token near "
                       "'threads'" },
    };

    CHECK(nffi_testhost_create(&host, 0) == NFFI_OK);

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CHECK(runtime_start(nffi_testhost_queue(host), wrong[i][0],
                            strlen(wrong[i][0]), error, sizeof(error))
              == NULL);
        CHECK(strcmp(error, wrong[i][1]) == 0);
    }

    passed("the configuration is checked");
}


int
main(void)
{
    greets();
    refuses();
    responds_to_each();
    counts();
    checks_configuration();

    return 0;
}

/*
 * test_backoff.c - when a process is started again, and what the log says.
 */

#include "check.h"
#include "shared/nffi_backoff.h"

#define MINUTE 60000u


/* Dies `up_ms` after its start at *now; returns the delay of the next start. */
static uint32_t
die(nffi_backoff_t *backoff, uint64_t *now, uint64_t up_ms)
{
    uint32_t delay;
    uint64_t started = *now;

    *now += up_ms;
    nffi_backoff_died(backoff, started, *now);
    delay = nffi_backoff_next(backoff);
    *now += delay;

    return delay;
}


static void
doubles(void)
{
    size_t i;
    uint64_t now = 12345;
    nffi_backoff_t backoff;
    static const uint32_t wanted[] = {
        100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000
    };

    nffi_backoff_init(&backoff);

    for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        CHECK_IS(die(&backoff, &now, i * 100), wanted[i]);
    }
}


/* A minute up, and not a millisecond less, is as good as the first start. */
static void
resets(void)
{
    uint64_t now = UINT64_MAX - MINUTE;    /* it wraps in between */
    nffi_backoff_t backoff;

    nffi_backoff_init(&backoff);
    CHECK_IS(die(&backoff, &now, 5), 100);
    CHECK_IS(die(&backoff, &now, 5), 200);
    CHECK_IS(die(&backoff, &now, MINUTE - 1), 400);
    CHECK_IS(die(&backoff, &now, MINUTE), 100);
    CHECK_IS(die(&backoff, &now, 5), 200);
    CHECK_IS(die(&backoff, &now, 10 * MINUTE), 100);
}


/* One line a step, then one a minute; one that was steady begins again. */
static void
reports(void)
{
    int i;
    uint64_t now = 1000;
    nffi_backoff_t backoff;

    nffi_backoff_init(&backoff);

    for (i = 0; i < 10; i++) {
        nffi_backoff_died(&backoff, now, now);
        CHECK(nffi_backoff_is_reported(&backoff, now));
        CHECK(!nffi_backoff_is_reported(&backoff, now));
        (void) nffi_backoff_next(&backoff);
        now += 100;
    }

    now -= 100;
    nffi_backoff_died(&backoff, now, now);
    CHECK_IS(backoff.delay_ms, NFFI_BACKOFF_LAST_MS);
    CHECK(!nffi_backoff_is_reported(&backoff, now + MINUTE - 1));
    CHECK(nffi_backoff_is_reported(&backoff, now + MINUTE));
    CHECK(!nffi_backoff_is_reported(&backoff, now + MINUTE + 1));

    nffi_backoff_died(&backoff, now, now + MINUTE);
    CHECK(nffi_backoff_is_reported(&backoff, now + MINUTE + 2));
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "the delay doubles from 0.1 to 30 s", doubles },
        { "a minute up resets it", resets },
        { "each step is a line in the log, then each minute", reports },
    };

    return CHECK_MAIN(argc, argv, cases);
}

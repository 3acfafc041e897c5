/*
 * test_spin.c - a spinner learns whether spinning pays, and for how long. The
 * tests set the times, so that no other program changes them.
 */

#include "check.h"
#include "shared/nffi_spin.h"

#define MAX_US 200
#define US UINT64_C(1000)
#define START UINT64_C(3600000000000)


static nffi_spinner_t
spinner_of(uint32_t max_us)
{
    nffi_spinner_t spinner;

    nffi_spin_init(&spinner, max_us);

    return spinner;
}


/* Begins a wait at the time START and returns its limit in us. */
static uint64_t
begin(nffi_spinner_t *spinner, bool briefly)
{
    CHECK(nffi_spin_begin(spinner, briefly));
    spinner->until_ns = START + spinner->limit_ns;

    return spinner->limit_ns / US;
}


/* Waits that find something after `us`, within their limit. */
static void
hits(nffi_spinner_t *spinner, uint32_t count, uint64_t us)
{
    while (count-- > 0) {
        CHECK(begin(spinner, false) >= us);
        CHECK(us == 0 || nffi_spin_again_at(spinner, START + us * US - 1));
        nffi_spin_found_at(spinner, START + us * US);
        CHECK_IS(spinner->until_ns, 0);
    }
}


static void
miss(nffi_spinner_t *spinner)
{
    (void) begin(spinner, false);
    CHECK(!nffi_spin_again_at(spinner, START + spinner->limit_ns));
}


/* Waits whose response takes `us`: a hit, or a miss that sleeps. */
static uint32_t
waits_of(nffi_spinner_t *spinner, uint32_t count, uint64_t us)
{
    uint32_t found = 0;

    while (count-- > 0) {
        if (!nffi_spin_begin(spinner, false)) {
            continue;
        }

        spinner->until_ns = START + spinner->limit_ns;

        if (us * US < spinner->limit_ns) {
            nffi_spin_found_at(spinner, START + us * US);
            found++;

        } else {
            CHECK(!nffi_spin_again_at(spinner, START + spinner->limit_ns));
        }
    }

    return found;
}


static uint32_t
waits_until_next_try(nffi_spinner_t *spinner)
{
    uint32_t waits = 1;

    while (!nffi_spin_begin(spinner, false)) {
        CHECK(++waits <= NFFI_SPIN_MAX_REST);
    }

    spinner->until_ns = START + spinner->limit_ns;

    return waits;
}


static void
off(void)
{
    int i;
    nffi_spinner_t spinner = spinner_of(0);

    for (i = 0; i < 100000; i++) {
        CHECK(!nffi_spin_begin(&spinner, false));
    }
}


static void
bounded(void)
{
    nffi_spinner_t spinner = spinner_of(UINT32_MAX);
    uint64_t end;

    CHECK_IS(spinner.max_ns, NFFI_SPIN_MAX_US * US);
    end = nffi_spin_now() + UINT64_C(10000000000);
    CHECK(nffi_spin_begin(&spinner, false));

    while (nffi_spin_again(&spinner)) {
        CHECK(nffi_spin_now() < end);
    }
}


static void
goes_on_while_it_pays(void)
{
    nffi_spinner_t spinner = spinner_of(20);

    hits(&spinner, 1000, 1);
    miss(&spinner);
    hits(&spinner, 4, 1);
    miss(&spinner);
    CHECK(nffi_spin_begin(&spinner, false));
}


static void
ends_when_it_does_not(void)
{
    uint32_t waits, before;
    nffi_spinner_t spinner = spinner_of(20);

    hits(&spinner, 1000, 1);

    for (before = 0; spinner.score > 0; before++) {
        miss(&spinner);
    }

    CHECK_IS(before, NFFI_SPIN_BEST / NFFI_SPIN_MISS);

    for (before = 0; before < NFFI_SPIN_LONG_REST; before = waits) {
        waits = waits_until_next_try(&spinner);
        CHECK(waits > before);
        CHECK(!nffi_spin_again_at(&spinner, START + spinner.limit_ns));
    }

    /* a try that finds something starts it again */
    CHECK_IS(waits_until_next_try(&spinner), NFFI_SPIN_LONG_REST);
    nffi_spin_found_at(&spinner, START + 1);
    CHECK(nffi_spin_begin(&spinner, false));
}


static void
follows_the_responses(void)
{
    nffi_spinner_t spinner = spinner_of(MAX_US);

    /* the first limit is the shortest */
    CHECK_IS(begin(&spinner, false), 20);
    nffi_spin_found_at(&spinner, START + 10 * US);
    CHECK_IS(begin(&spinner, false), 20);
    nffi_spin_found_at(&spinner, START + 18 * US);
    CHECK_IS(begin(&spinner, false), 27);
    nffi_spin_found_at(&spinner, START);

    /* they take longer: spinning is interrupted for some waits at most */
    hits(&spinner, NFFI_SPIN_BEST, 10);
    (void) waits_of(&spinner, 200, 80);
    CHECK_IS(waits_of(&spinner, 1000, 80), 1000);
    CHECK_IS(spinner.limit_ns / US, 120);

    /* shorter: the limit comes down within some hits */
    hits(&spinner, 5 * NFFI_SPIN_MEMORY, 2);
    CHECK_IS(begin(&spinner, false), 20);
}


static void
has_a_longest_limit(void)
{
    uint32_t found;
    nffi_spinner_t spinner = spinner_of(MAX_US);

    hits(&spinner, NFFI_SPIN_BEST, 10);
    (void) waits_of(&spinner, 200, 190);
    CHECK_IS(waits_of(&spinner, 1000, 190), 1000);
    CHECK_IS(spinner.limit_ns / US, MAX_US);

    /* what takes longer is not waited for */
    found = waits_of(&spinner, 100000, 201);
    CHECK_IS(found, 0);
    CHECK_IS(spinner.rest, NFFI_SPIN_LONG_REST);
}


/* One miss in ten pays with a short limit, and does not with a long one. */
static void
long_limits_need_more_hits(void)
{
    uint32_t i;
    uint32_t us;
    nffi_spinner_t spinner;

    for (us = 10; us <= 100; us += 90) {
        spinner = spinner_of(MAX_US);
        spinner.longest_ns = us * US;
        spinner.score = NFFI_SPIN_BEST;

        for (i = 0; i < 100 && spinner.score > 0; i++) {
            hits(&spinner, 9, us);
            miss(&spinner);
            spinner.longest_ns = us * US;
        }

        CHECK_IS(i == 100, us == 10);
    }
}


static void
briefly(void)
{
    nffi_spinner_t spinner = spinner_of(MAX_US);

    spinner.longest_ns = 100 * US;
    CHECK_IS(begin(&spinner, true), 20);
    CHECK_IS(begin(&spinner, false), 150);

    spinner = spinner_of(5);
    CHECK_IS(begin(&spinner, true), 5);
}


/* Waits that end right after another thread ran here, which `us` of spinning
   have kept from it. */
static void
waits_that_keep_the_cpu(nffi_spinner_t *spinner, uint32_t count, uint64_t us)
{
    uint64_t yields = START + us * US;

    while (count-- > 0 && nffi_spin_begin(spinner, false)) {
        spinner->until_ns = START + spinner->limit_ns;
        CHECK(nffi_spin_again_at(spinner, yields));
        nffi_spin_yielded_at(spinner, yields, yields + 10 * US);
        nffi_spin_found_at(spinner, yields + 10 * US);
    }
}


static void
ends_when_it_keeps_the_cpu(void)
{
    uint64_t limit;
    nffi_spinner_t spinner = spinner_of(MAX_US);

    /* it ran after the first yield */
    hits(&spinner, NFFI_SPIN_BEST, 10);
    waits_that_keep_the_cpu(&spinner, 1000, 1);
    CHECK_IS(spinner.score, NFFI_SPIN_BEST);

    /* 80 us cost 16 hits, and the limit stays as it is */
    (void) waits_of(&spinner, 200, 80);
    hits(&spinner, NFFI_SPIN_BEST, 80);
    limit = spinner.limit_ns;
    waits_that_keep_the_cpu(&spinner, 1, 80);
    CHECK_IS(spinner.score, NFFI_SPIN_BEST - 16);
    CHECK(begin(&spinner, false) * US == limit);
    nffi_spin_found_at(&spinner, START);
    waits_that_keep_the_cpu(&spinner, 4, 80);
    CHECK_IS(waits_until_next_try(&spinner), NFFI_SPIN_SHORT_REST);

    /* a try that keeps the CPU does not start it again */
    CHECK(nffi_spin_again_at(&spinner, START + 80 * US));
    nffi_spin_yielded_at(&spinner, START + 80 * US, START + 90 * US);
    nffi_spin_found_at(&spinner, START + 90 * US);
    CHECK_IS(waits_until_next_try(&spinner), 2 * NFFI_SPIN_SHORT_REST);

    /* nobody ran here: the other side has another CPU */
    CHECK(nffi_spin_again_at(&spinner, START + 80 * US));
    nffi_spin_yielded_at(&spinner, START + 80 * US, START + 81 * US);
    nffi_spin_found_at(&spinner, START + 82 * US);
    CHECK(nffi_spin_begin(&spinner, false));
}


/* A late wait, this long after the last one. */
static uint64_t
be_late(nffi_spinner_t *spinner, uint64_t since_ns)
{
    uint64_t now = START + NFFI_SPIN_LATE * spinner->limit_ns;

    spinner->late_ns = now - since_ns;

    return now;
}


static void
rests_long_when_others_want_the_cpu(void)
{
    uint32_t rest;
    uint64_t now;
    nffi_spinner_t spinner = spinner_of(MAX_US);

    for (rest = NFFI_SPIN_LONG_REST; rest < NFFI_SPIN_MAX_REST; rest *= 2) {
        (void) begin(&spinner, false);
        now = be_late(&spinner, NFFI_SPIN_LATE * spinner.limit_ns);
        nffi_spin_found_at(&spinner, now);
        CHECK_IS(waits_until_next_try(&spinner), rest);
        nffi_spin_found_at(&spinner, START + 1);
    }

    /* also when nothing was found; there is a longest rest */
    (void) begin(&spinner, false);
    now = be_late(&spinner, NFFI_SPIN_LATE * spinner.limit_ns);
    CHECK(!nffi_spin_again_at(&spinner, now));
    CHECK_IS(waits_until_next_try(&spinner), NFFI_SPIN_MAX_REST);
}


static void
goes_on_when_it_is_seldom_late(void)
{
    int i;
    uint64_t now;
    nffi_spinner_t spinner = spinner_of(MAX_US);

    spinner.rest = NFFI_SPIN_MAX_REST;
    hits(&spinner, 100, 1);

    for (i = 0; i < 20; i++) {
        (void) begin(&spinner, false);
        now = be_late(&spinner, UINT64_C(1000000000));
        nffi_spin_found_at(&spinner, now);
        hits(&spinner, 100, 1);
    }

    CHECK_IS(spinner.rest, NFFI_SPIN_SHORT_REST);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "a limit of 0 is never", off },
        { "a wait is bounded", bounded },
        { "goes on while it finds something in time", goes_on_while_it_pays },
        { "ends when it does not, and is tried again", ends_when_it_does_not },
        { "the limit follows the time that responses take",
          follows_the_responses },
        { "there is a longest limit", has_a_longest_limit },
        { "a long limit needs more hits for a miss",
          long_limits_need_more_hits },
        { "a thread with other things to wait for spins briefly", briefly },
        { "ends when it keeps the CPU from the other side",
          ends_when_it_keeps_the_cpu },
        { "rests long when others want the CPU",
          rests_long_when_others_want_the_cpu },
        { "goes on when it is seldom late", goes_on_when_it_is_seldom_late },
    };

    return CHECK_MAIN(argc, argv, cases);
}

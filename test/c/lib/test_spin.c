/*
 * test_spin.c - a spinner learns whether spinning pays. The tests set the time
 * at the end of its wait.
 */

#include "check.h"
#include "shared/nffi_spin.h"

#define LIMIT_US 20
#define LIMIT_NS (LIMIT_US * 1000u)


static nffi_spinner_t
spinner_of(uint32_t limit_us)
{
    nffi_spinner_t spinner;

    nffi_spin_init(&spinner, limit_us);

    return spinner;
}


/* The present wait has been over for this time. */
static void
make_over(nffi_spinner_t *spinner, uint64_t ns)
{
    spinner->until_ns = nffi_spin_now() - ns;
}


static void
hits(nffi_spinner_t *spinner, uint32_t count)
{
    while (count-- > 0) {
        CHECK(nffi_spin_begin(spinner));
        spinner->until_ns += UINT64_C(3600000000000);
        nffi_spin_found(spinner);
    }
}


static void
miss(nffi_spinner_t *spinner)
{
    CHECK(nffi_spin_begin(spinner));
    make_over(spinner, 1);
    CHECK(!nffi_spin_again(spinner));
}


static uint32_t
waits_until_next_try(nffi_spinner_t *spinner)
{
    uint32_t waits = 1;

    while (!nffi_spin_begin(spinner)) {
        CHECK(++waits <= NFFI_SPIN_LONGEST_REST);
    }

    return waits;
}


static void
off(void)
{
    int i;
    nffi_spinner_t spinner = spinner_of(0);

    for (i = 0; i < 100000; i++) {
        CHECK(!nffi_spin_begin(&spinner));
    }
}


static void
bounded(void)
{
    nffi_spinner_t spinner = spinner_of(UINT32_MAX);
    uint64_t end;

    CHECK_IS(spinner.limit_ns, NFFI_SPIN_MOST_US * 1000u);
    end = nffi_spin_now() + UINT64_C(10000000000);
    CHECK(nffi_spin_begin(&spinner));

    while (nffi_spin_again(&spinner)) {
        CHECK(nffi_spin_now() < end);
    }
}


static void
goes_on_while_it_pays(void)
{
    nffi_spinner_t spinner = spinner_of(LIMIT_US);

    hits(&spinner, 1000);
    miss(&spinner);
    hits(&spinner, 4);
    miss(&spinner);
    CHECK(nffi_spin_begin(&spinner));
}


static void
ends_when_it_does_not(void)
{
    uint32_t waits, before;
    nffi_spinner_t spinner = spinner_of(LIMIT_US);

    hits(&spinner, 1000);

    for (before = 0; spinner.score > 0; before++) {
        miss(&spinner);
    }

    CHECK_IS(before, NFFI_SPIN_BEST / NFFI_SPIN_MISS);

    for (before = 0; before < NFFI_SPIN_LONG_REST; before = waits) {
        waits = waits_until_next_try(&spinner);
        CHECK(waits > before);
        make_over(&spinner, 1);
        CHECK(!nffi_spin_again(&spinner));
    }

    /* a try that finds something starts it again */
    CHECK_IS(waits_until_next_try(&spinner), NFFI_SPIN_LONG_REST);
    spinner.until_ns += UINT64_C(3600000000000);
    nffi_spin_found(&spinner);
    CHECK(nffi_spin_begin(&spinner));
}


/* A late wait, this long after the last one. */
static void
be_late(nffi_spinner_t *spinner, uint64_t since_ns)
{
    make_over(spinner, NFFI_SPIN_LATE * LIMIT_NS);
    spinner->late_ns = nffi_spin_now() - since_ns;
}


static void
rests_long_when_others_want_the_cpu(void)
{
    uint32_t rest;
    nffi_spinner_t spinner = spinner_of(LIMIT_US);

    for (rest = NFFI_SPIN_LONG_REST; rest < NFFI_SPIN_LONGEST_REST; rest *= 2) {
        CHECK(nffi_spin_begin(&spinner));
        be_late(&spinner, NFFI_SPIN_LATE * LIMIT_NS);
        nffi_spin_found(&spinner);
        CHECK_IS(waits_until_next_try(&spinner), rest);
        spinner.until_ns += UINT64_C(3600000000000);
        nffi_spin_found(&spinner);
    }

    /* also when nothing was found; there is a longest rest */
    CHECK(nffi_spin_begin(&spinner));
    be_late(&spinner, NFFI_SPIN_LATE * LIMIT_NS);
    CHECK(!nffi_spin_again(&spinner));
    CHECK_IS(waits_until_next_try(&spinner), NFFI_SPIN_LONGEST_REST);
}


static void
goes_on_when_it_is_seldom_late(void)
{
    int i;
    nffi_spinner_t spinner = spinner_of(LIMIT_US);

    spinner.rest = NFFI_SPIN_LONGEST_REST;
    hits(&spinner, 100);

    for (i = 0; i < 20; i++) {
        CHECK(nffi_spin_begin(&spinner));
        be_late(&spinner, UINT64_C(1000000000));
        nffi_spin_found(&spinner);
        hits(&spinner, 100);
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
        { "rests long when others want the CPU",
          rests_long_when_others_want_the_cpu },
        { "goes on when it is seldom late", goes_on_when_it_is_seldom_late },
    };

    return CHECK_MAIN(argc, argv, cases);
}

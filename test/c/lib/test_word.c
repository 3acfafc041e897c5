/*
 * test_word.c - a thread of the worker sleeps on a word, one of a process on
 * the eventfd; the worker wakes each in its way.
 */

#include "pair.h"
#include "runtime/wait.h"

#define ROUNDS 20000

static int owners[1];
static pair_t pair;
static _Atomic int result;


static void *
poll_once(void *data)
{
    nffi_request_t request;
    int n = nffi_queue_poll(pair.queue, &request, 1, -1);

    (void) data;

    if (n == 1) {
        CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    }

    result = n;

    return NULL;
}


static void *
poll_until_end(void *data)
{
    nffi_request_t request;

    (void) data;

    while (nffi_queue_poll(pair.queue, &request, 1, -1) == 1) {
        CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    }

    return NULL;
}


static void
wait_until_parked(uint32_t how)
{
    uint32_t parked;
    _Atomic uint32_t *word = &pair.host->region.header->runtime_parked;

    while ((parked = *word) == 0) {
        usleep(1000);
    }

    CHECK_IS(parked, how);
}


static bool
is_readable(int fd)
{
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };

    return poll(&pollfd, 1, 0) == 1;
}


/* If nothing wakes the thread, the case hangs and fails. */
static void
check_woken(pthread_t id)
{
    CHECK_IS(pthread_join(id, NULL), 0);
    CHECK_IS(result, 1);
}


static void
ignore(int signo)
{
    (void) signo;
}


static void
worker_sleeps_on_word(void)
{
    pthread_t id;
    struct sigaction action = { .sa_handler = ignore };

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    CHECK_CALL(sigaction(SIGUSR1, &action, NULL));
    CHECK_IS(pthread_create(&id, NULL, poll_once, NULL), 0);
    wait_until_parked(NFFI__ON_WORD);

    /* a signal does not end the wait */
    CHECK_IS(pthread_kill(id, SIGUSR1), 0);
    usleep(20000);
    wait_until_parked(NFFI__ON_WORD);

    pair_submit(&pair, NULL, 0, owners);
    CHECK(!is_readable(pair.host->tasks_fd));
    check_woken(id);
    pair_close(&pair);
}


static void
process_sleeps_on_descriptor(void)
{
    pthread_t id;

    pair_open_shared(&pair, &(nffi_host_options_t) { 0 });
    CHECK_IS(pthread_create(&id, NULL, poll_once, NULL), 0);
    wait_until_parked(NFFI__ON_DESCRIPTOR);

    /* whatever a process writes there: the worker writes the eventfd */
    pair.host->region.header->runtime_parked = NFFI__ON_WORD;
    pair_submit(&pair, NULL, 0, owners);
    check_woken(id);
    pair_close(&pair);
}


static void
loop_sleeps_on_descriptor(void)
{
    nffi_request_t request;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    CHECK_IS(nffi_queue_arm(pair.queue), 0);
    wait_until_parked(NFFI__ON_DESCRIPTOR);
    pair_submit(&pair, NULL, 0, owners);
    CHECK(is_readable(nffi_queue_fd(pair.queue)));
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), 1);
    CHECK_IS(nffi_respond(request.task, 0, NULL, 0), NFFI_OK);
    CHECK_IS(nffi_queue_release_fd(pair.queue), NFFI_OK);
    pair_close(&pair);
}


static void
wait_ends(void)
{
    struct timespec until;
    _Atomic uint32_t word = NFFI__ON_WORD;

    /* the waker was faster: this would not return */
    word = 0;
    nffi__word_wait(&word, NFFI__ON_WORD, -1);

    until = nffi__time_after(1050);
    nffi__word_wait(&word, 0, 1050);
    CHECK_IS(nffi__ms_until(&until), 0);
}


/* The leader may not yet be asleep when it is nudged: the word must differ from
   what it compares. */
static void
nudge_changes_the_word(void)
{
    pthread_t id;
    nffi_queue_t *queue;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    queue = pair_inner(pair.queue);
    CHECK_IS(pthread_create(&id, NULL, poll_once, NULL), 0);
    wait_until_parked(NFFI__ON_WORD);

    pthread_mutex_lock(&queue->mutex);
    nffi__nudge_leader(queue);
    CHECK_IS(queue->region.header->runtime_parked, 0);
    pthread_mutex_unlock(&queue->mutex);

    /* it has looked again, and sleeps */
    wait_until_parked(NFFI__ON_WORD);
    pair_submit(&pair, NULL, 0, owners);
    check_woken(id);
    pair_close(&pair);
}


/* Breaks the queue if its leader spins; true if it did. */
static bool
break_while_spinning(void)
{
    bool spins;
    nffi_queue_t *queue = pair_inner(pair.queue);

    pthread_mutex_lock(&queue->mutex);
    spins = queue->leader != NFFI__NOBODY
            && queue->region.header->runtime_parked == 0;

    if (spins) {
        nffi__break(queue);

        /* now its time is over, and it waits for the mutex */
        usleep(2000);
    }

    pthread_mutex_unlock(&queue->mutex);

    return spins;
}


/* A leader that spins has not announced, so there is nothing to wake: it must
   find the mark before it sleeps. */
static void
nudged_while_spinning(void)
{
    int i;
    bool spins = false;
    pthread_t id;
    nffi_host_response_t response;

    pair_open(&pair, &(nffi_host_options_t) { .spin_us = 200 });
    CHECK_IS(pthread_create(&id, NULL, poll_until_end, NULL), 0);

    for (i = 0; i < ROUNDS && !spins; i++) {
        pair_submit(&pair, NULL, 0, owners);

        while (nffi_host_collect(pair.host, &response, 1) == 0) {
            sched_yield();
        }

        nffi_host_release(pair.host, &response);
        spins = break_while_spinning();
    }

    CHECK(spins);
    CHECK_IS(pthread_join(id, NULL), 0);
    pair_close(&pair);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "a thread of the worker sleeps on the word", worker_sleeps_on_word },
        { "a thread of a process sleeps on the descriptor",
          process_sleeps_on_descriptor },
        { "a loop sleeps on the descriptor", loop_sleeps_on_descriptor },
        { "a wait ends when the word was changed, or with its time",
          wait_ends },
        { "a nudge changes the word", nudge_changes_the_word },
        { "a leader that spins does not sleep when it was nudged",
          nudged_while_spinning },
    };

    return CHECK_MAIN(argc, argv, cases);
}

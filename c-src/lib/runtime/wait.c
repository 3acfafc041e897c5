/*
 * wait.c - see wait.h.
 */

#define _GNU_SOURCE

#include "runtime/wait.h"
#include "shared/eventfd.h"
#include "shared/word.h"

#include <errno.h>
#include <poll.h>

#define LOOK_MS 10            /* of threads beside an armed descriptor */


struct timespec
nffi__time_after(int timeout_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long) (timeout_ms % 1000) * 1000000L;

    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }

    return until;
}


int
nffi__ms_until(const struct timespec *until)
{
    long long ms;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    ms = (long long) (until->tv_sec - now.tv_sec) * 1000
         + (until->tv_nsec - now.tv_nsec + 999999) / 1000000;

    return ms < 0 ? 0 : (int) ms;
}


/*
 * The protocol. A waiting thread either leads or follows. The leader sleeps for
 * all, on the word or in a process on the eventfd; a follower sleeps until
 * another thread wakes it. At any time while a thread follows, one of these
 * holds:
 *
 * - a leader spins: it checks everything that its followers wait for, or
 * - a leader sleeps: it has announced that, then checked all of it, or
 * - a thread was woken, or is in a call, and is about to lead or to pass the
 *   lead on.
 *
 * A thread in nffi_stream_wait takes no tasks. While a poller follows it, it
 * also checks for tasks, and afterwards it makes the poller lead. A poller that
 * begins to follow while it sleeps has checked for tasks after the
 * announcement, so every later task wakes it, and it hands over.
 */


/* What pollers wait for. */
static bool
has_tasks(nffi_queue_t *queue)
{
    nffi__header_t *header = queue->region.header;

    return nffi__ring_waiting(&header->tasks_ring) != 0
           || atomic_load_explicit(&header->closed, memory_order_seq_cst);
}


static bool
has_notes(nffi_queue_t *queue)
{
    return nffi__ring_waiting(&queue->region.header->notes_ring) != 0;
}


/* Their number may change while the leader spins without the mutex. */
static bool
has_followers(nffi_queue_t *queue)
{
    return atomic_load_explicit(&queue->followers.count,
                                memory_order_relaxed) > 0;
}


/* Whether this leader, or a thread that follows it, has something to do. */
static bool
has_work(nffi_queue_t *queue, enum nffi__leader leader)
{
    if (has_notes(queue)) {
        return true;
    }

    return (leader == NFFI__POLLER || has_followers(queue))
           && has_tasks(queue);
}


/* Checks for work until the spinner stops. */
static bool
spin(nffi_queue_t *queue, nffi_spinner_t *spinner, enum nffi__leader leader)
{
    do {
        if (has_work(queue, leader)) {
            nffi_spin_found(spinner);
            return true;
        }
    } while (nffi_spin_look_again(spinner));

    return false;
}


void
nffi__spin_to_arm(nffi_queue_t *queue, bool briefly)
{
    if (nffi_spin_begin(&queue->arm_spinner, briefly)) {
        (void) spin(queue, &queue->arm_spinner, NFFI__POLLER);
    }
}


/*
 * Spins without the mutex. True: the caller must look once more at what it
 * waits for. Another thread may have taken notes that are about it, and the
 * host, which has seen no thread park, signals none.
 */
static bool
spin_unlocked(nffi_queue_t *queue, enum nffi__leader leader)
{
    bool found;
    uint32_t taken;
    nffi__ring_t *notes = &queue->region.header->notes_ring;

    if (!nffi_spin_begin(&queue->spinner, false)) {
        return false;
    }

    taken = atomic_load_explicit(&notes->head, memory_order_relaxed);

    pthread_mutex_unlock(&queue->mutex);
    found = spin(queue, &queue->spinner, leader);
    pthread_mutex_lock(&queue->mutex);

    return found || taken != atomic_load_explicit(&notes->head,
                                                  memory_order_relaxed);
}


/* How the leader sleeps. A wake-up through a futex that two processes share
   takes as long as one through an eventfd. */
static enum nffi__parked
way_to_sleep(const nffi_queue_t *queue)
{
    return queue->control_fd == -1 ? NFFI__ON_WORD : NFFI__ON_DESCRIPTOR;
}


static void
sleep_on_descriptor(nffi_queue_t *queue, int timeout_ms)
{
    struct pollfd pollfd = { .fd = queue->tasks_fd, .events = POLLIN };

    if (poll(&pollfd, 1, timeout_ms) > 0) {
        nffi__eventfd_clear(queue->tasks_fd);
    }
}


static void
sleep_for_all(nffi_queue_t *queue, int timeout_ms, enum nffi__leader leader)
{
    enum nffi__parked how = way_to_sleep(queue);
    nffi__header_t *header = queue->region.header;

    nffi__announce_parked(&header->runtime_parked, how);

    if (!has_work(queue, leader)) {
        pthread_mutex_unlock(&queue->mutex);

        if (how == NFFI__ON_WORD) {
            nffi__word_wait(&header->runtime_parked, how, timeout_ms);

        } else {
            sleep_on_descriptor(queue, timeout_ms);
        }

        pthread_mutex_lock(&queue->mutex);
    }

    nffi__revoke_parked(&header->runtime_parked);
}


static void
lead(nffi_queue_t *queue, int timeout_ms, enum nffi__leader leader)
{
    queue->leader = leader;
    queue->nudged = false;

    if (!spin_unlocked(queue, leader) && !queue->nudged) {
        sleep_for_all(queue, timeout_ms, leader);
    }

    queue->leader = NFFI__NOBODY;
}


static void
set_count(nffi__waiters_t *waiters, int change)
{
    uint32_t count = atomic_load_explicit(&waiters->count,
                                          memory_order_relaxed);

    atomic_store_explicit(&waiters->count, count + (uint32_t) change,
                          memory_order_relaxed);
}


/* Takes a waiter off its list and wakes it. */
static void
wake_at(nffi__waiters_t *waiters, nffi__waiter_t **link)
{
    nffi__waiter_t *waiter = *link;

    *link = waiter->next;
    set_count(waiters, -1);
    waiters->woken++;
    waiter->woken = true;
    pthread_cond_signal(&waiter->condition);
}


static void
wake_all(nffi__waiters_t *waiters)
{
    while (waiters->first != NULL) {
        wake_at(waiters, &waiters->first);
    }
}


/* The time is over, and no thread has woken this one. */
static void
remove_waiter(nffi__waiters_t *waiters, nffi__waiter_t *waiter)
{
    nffi__waiter_t **link = &waiters->first;

    while (*link != waiter) {
        link = &(*link)->next;
    }

    *link = waiter->next;
    set_count(waiters, -1);
}


/*
 * Sleeps until another thread wakes this one. Each waiter has a separate
 * condition variable and mark: a wake-up reaches the right thread, also when
 * that thread times out at the same moment.
 */
static void
follow(nffi_queue_t *queue, nffi__waiters_t *waiters, uint32_t slot,
    int timeout_ms)
{
    int rc = 0;
    struct timespec until;
    nffi__waiter_t self = { .next = waiters->first, .slot = slot };

    /* the thread of the descriptor leads, but it may be in a handler */
    if (queue->arms && (timeout_ms < 0 || timeout_ms > LOOK_MS)) {
        timeout_ms = LOOK_MS;
    }

    if (timeout_ms >= 0) {
        until = nffi__time_after(timeout_ms);
    }

    pthread_cond_init(&self.condition, &queue->monotonic);
    waiters->first = &self;
    set_count(waiters, 1);

    while (!self.woken && rc != ETIMEDOUT) {
        rc = timeout_ms < 0
             ? pthread_cond_wait(&self.condition, &queue->mutex)
             : pthread_cond_timedwait(&self.condition, &queue->mutex, &until);
    }

    if (self.woken) {
        waiters->woken--;

    } else {
        remove_waiter(waiters, &self);
    }

    pthread_cond_destroy(&self.condition);
}


void
nffi__wait_for_tasks(nffi_queue_t *queue, int timeout_ms)
{
    if (queue->leader != NFFI__NOBODY || queue->arms) {
        follow(queue, &queue->followers, 0, timeout_ms);

    } else {
        lead(queue, timeout_ms, NFFI__POLLER);
    }
}


void
nffi__wait_for_credit(nffi_queue_t *queue, uint32_t slot, int timeout_ms)
{
    if (queue->leader != NFFI__NOBODY || queue->arms
        || queue->followers.woken > 0)
    {
        follow(queue, &queue->writers, slot, timeout_ms);
        return;
    }

    lead(queue, timeout_ms, NFFI__WRITER);

    /* it was woken in place of a poller, or a poller has begun to follow */
    if (has_followers(queue) && queue->followers.woken == 0) {
        wake_at(&queue->followers, &queue->followers.first);
    }
}


void
nffi__pass_lead(nffi_queue_t *queue)
{
    if (queue->leader != NFFI__NOBODY || queue->followers.woken > 0) {
        return;
    }

    if (has_followers(queue)) {
        if (!queue->arms || has_tasks(queue)) {
            wake_at(&queue->followers, &queue->followers.first);
        }

    } else if (queue->writers.first != NULL && queue->writers.woken == 0
               && !queue->arms)
    {
        wake_at(&queue->writers, &queue->writers.first);
    }
}


void
nffi__wake_writers(nffi_queue_t *queue, uint32_t slot)
{
    nffi__waiter_t **link = &queue->writers.first;

    while (*link != NULL) {
        if ((*link)->slot == slot) {
            wake_at(&queue->writers, link);

        } else {
            link = &(*link)->next;
        }
    }
}


void
nffi__nudge_leader(nffi_queue_t *queue)
{
    _Atomic uint32_t *parked = &queue->region.header->runtime_parked;

    if (queue->leader == NFFI__NOBODY) {
        return;
    }

    /* one that spins finds the descriptor readable or this mark, and does not
       sleep */
    if (way_to_sleep(queue) == NFFI__ON_DESCRIPTOR) {
        nffi__eventfd_signal(queue->tasks_fd);
        return;
    }

    queue->nudged = true;

    if (nffi__must_wake(parked)) {
        nffi__word_wake(parked);
    }
}


void
nffi__break(nffi_queue_t *queue)
{
    queue->broken = true;
    nffi__look_again(queue);
}


void
nffi__look_again(nffi_queue_t *queue)
{
    wake_all(&queue->followers);
    wake_all(&queue->writers);
    nffi__nudge_leader(queue);
}

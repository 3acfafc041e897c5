/*
 * wait.c - see wait.h.
 */

#define _GNU_SOURCE

#include "wait.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>


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


void
nffi__clear_eventfd(int fd)
{
    ssize_t n;
    uint64_t count;

    do {
        n = read(fd, &count, sizeof(count));
    } while (n == -1 && errno == EINTR);
}


/* What the leader, and who follows, would find by looking once more. */
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


bool
nffi__spin(nffi_queue_t *queue, bool for_tasks)
{
    nffi_spinner_t *spinner = &queue->spinner;

    if (!nffi_spin_begin(spinner)) {
        return false;
    }

    do {
        if (has_notes(queue) || (for_tasks && has_tasks(queue))) {
            nffi_spin_found(spinner);
            return true;
        }
    } while (nffi_spin_again(spinner));

    return false;
}


/*
 * Spins without the mutex. True: the caller must look once more at what it
 * waits for. Another thread may have taken notes meanwhile that are about it;
 * the host, which has seen nobody park, signals none of them.
 */
static bool
spin_unlocked(nffi_queue_t *queue, bool for_tasks)
{
    bool found;
    uint32_t taken;
    nffi__ring_t *notes = &queue->region.header->notes_ring;

    taken = atomic_load_explicit(&notes->head, memory_order_relaxed);

    pthread_mutex_unlock(&queue->mutex);
    found = nffi__spin(queue, for_tasks);
    pthread_mutex_lock(&queue->mutex);

    return found || taken != atomic_load_explicit(&notes->head,
                                                  memory_order_relaxed);
}


static void
lead(nffi_queue_t *queue, int timeout_ms, bool for_tasks)
{
    struct pollfd pollfd;
    nffi__header_t *header = queue->region.header;

    queue->led = true;

    if (timeout_ms != 0 && spin_unlocked(queue, for_tasks)) {
        queue->led = false;
        return;
    }

    nffi__announce_parked(&header->runtime_parked);

    if (!has_notes(queue) && !(for_tasks && has_tasks(queue))) {
        pthread_mutex_unlock(&queue->mutex);

        pollfd.fd = queue->tasks_fd;
        pollfd.events = POLLIN;
        if (poll(&pollfd, 1, timeout_ms) > 0) {
            nffi__clear_eventfd(queue->tasks_fd);
        }

        pthread_mutex_lock(&queue->mutex);
    }

    nffi__revoke_parked(&header->runtime_parked);
    queue->led = false;
}


static void
follow(nffi_queue_t *queue, pthread_cond_t *condition, uint32_t *count,
    int timeout_ms)
{
    struct timespec until;

    (*count)++;

    if (timeout_ms < 0) {
        pthread_cond_wait(condition, &queue->mutex);

    } else {
        until = nffi__time_after(timeout_ms);
        pthread_cond_timedwait(condition, &queue->mutex, &until);
    }

    (*count)--;
}


void
nffi__wait_for_tasks(nffi_queue_t *queue, int timeout_ms)
{
    if (queue->led) {
        follow(queue, &queue->follow, &queue->followers, timeout_ms);

    } else {
        lead(queue, timeout_ms, true);
    }
}


void
nffi__wait_for_credit(nffi_queue_t *queue, int timeout_ms)
{
    if (queue->led) {
        follow(queue, &queue->credit, &queue->writers, timeout_ms);
        return;
    }

    lead(queue, timeout_ms, false);

    /* it was woken in place of those who take tasks */
    if (has_tasks(queue)) {
        pthread_cond_broadcast(&queue->follow);
    }
}


void
nffi__pass_lead(nffi_queue_t *queue, bool end)
{
    if (end) {
        pthread_cond_broadcast(&queue->follow);
    }

    if (queue->led) {
        return;
    }

    if (!end && queue->followers > 0) {
        pthread_cond_signal(&queue->follow);

    } else if (queue->writers > 0) {
        pthread_cond_signal(&queue->credit);
    }
}

/*
 * crew.c - threads that take turns in taking calls.
 *
 * The leader changes under the mutex only; its turn counter is written by
 * itself and read by the one thread that stands by, which looks at it once a
 * tick while calls come, and sleeps otherwise.
 */

#define _GNU_SOURCE

#include "module.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>


/* How long a call may take before another thread takes those behind it. */
#define TICK_NS 500000

/* No turn has this number. */
#define NEVER UINT64_MAX


struct nffi_crew {
    pthread_mutex_t mutex;
    pthread_cond_t tick;              /* wakes who stands by */
    pthread_cond_t reserve;           /* wakes who may stand by */
    nffi_crew_member_t *_Atomic leader;
    atomic_bool asleep;               /* who stands by has stopped looking */
    bool standing_by;
    bool ended;
};


nffi_crew_t *
nffi_crew_create(void)
{
    nffi_crew_t *crew;
    pthread_condattr_t attributes;

    crew = calloc(1, sizeof(*crew));

    if (crew == NULL) {
        return NULL;
    }

    pthread_mutex_init(&crew->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&crew->tick, &attributes);
    pthread_cond_init(&crew->reserve, &attributes);
    pthread_condattr_destroy(&attributes);

    return crew;
}


void
nffi_crew_destroy(nffi_crew_t *crew)
{
    pthread_cond_destroy(&crew->tick);
    pthread_cond_destroy(&crew->reserve);
    pthread_mutex_destroy(&crew->mutex);
    free(crew);
}


static void
wait_a_tick(nffi_crew_t *crew)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TICK_NS;

    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }

    (void) pthread_cond_timedwait(&crew->tick, &crew->mutex, &until);
}


bool
nffi_crew_lead(nffi_crew_t *crew, nffi_crew_member_t *member)
{
    bool ended;
    uint64_t turn, seen = NEVER;
    nffi_crew_member_t *leader;

    pthread_mutex_lock(&crew->mutex);

    while (crew->standing_by && !crew->ended) {
        pthread_cond_wait(&crew->reserve, &crew->mutex);
    }

    crew->standing_by = true;

    while (!crew->ended) {
        leader = atomic_load(&crew->leader);

        if (leader == NULL || leader == member) {
            break;
        }

        turn = atomic_load(&leader->turn);

        if (turn == seen && (turn & 1)) {
            /* the same call as a tick ago */
            break;
        }

        if (turn == seen) {
            /* a leader that begins a call sees this, or is seen to begin */
            atomic_store(&crew->asleep, true);

            if (atomic_load(&leader->turn) == seen) {
                pthread_cond_wait(&crew->tick, &crew->mutex);
            }

            atomic_store(&crew->asleep, false);
            seen = NEVER;
            continue;
        }

        seen = turn;
        wait_a_tick(crew);
    }

    crew->standing_by = false;
    ended = crew->ended;

    if (!ended) {
        atomic_store(&crew->leader, member);
    }

    pthread_cond_signal(&crew->reserve);
    pthread_mutex_unlock(&crew->mutex);

    return !ended;
}


bool
nffi_crew_leads(nffi_crew_t *crew, nffi_crew_member_t *member)
{
    nffi_crew_member_t *leader = atomic_load(&crew->leader);

    if (leader == member) {
        return true;
    }

    pthread_mutex_lock(&crew->mutex);
    leader = atomic_load(&crew->leader);

    /* the leader makes a call: this thread, which is awake anyway, takes the
       calls behind it */

    if (!crew->ended
        && (leader == NULL || (atomic_load(&leader->turn) & 1)))
    {
        atomic_store(&crew->leader, member);
        leader = member;
    }

    pthread_mutex_unlock(&crew->mutex);

    return leader == member;
}


void
nffi_crew_begin(nffi_crew_t *crew, nffi_crew_member_t *member)
{
    atomic_fetch_add(&member->turn, 1);

    if (atomic_load(&crew->asleep)) {
        pthread_mutex_lock(&crew->mutex);
        pthread_cond_signal(&crew->tick);
        pthread_mutex_unlock(&crew->mutex);
    }
}


void
nffi_crew_done(nffi_crew_member_t *member)
{
    atomic_fetch_add(&member->turn, 1);
}


void
nffi_crew_end(nffi_crew_t *crew)
{
    pthread_mutex_lock(&crew->mutex);
    crew->ended = true;
    pthread_cond_broadcast(&crew->tick);
    pthread_cond_broadcast(&crew->reserve);
    pthread_mutex_unlock(&crew->mutex);
}


void
nffi_crew_leave(nffi_crew_t *crew, nffi_crew_member_t *member)
{
    pthread_mutex_lock(&crew->mutex);

    if (atomic_load(&crew->leader) == member) {
        atomic_store(&crew->leader, NULL);
        pthread_cond_signal(&crew->tick);
    }

    pthread_mutex_unlock(&crew->mutex);
}

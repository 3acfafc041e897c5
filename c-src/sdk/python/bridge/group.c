/*
 * group.c - threads of which one leads: it takes the calls.
 *
 * The leader changes under the mutex only. It writes its turn counter. One
 * other thread, the standby, reads the counter once a tick while calls arrive,
 * and sleeps otherwise.
 */

#define _GNU_SOURCE

#include "module.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>


/* The time after which another thread takes the calls behind a long one. */
#define TICK_NS 500000

/* No turn has this number. */
#define NEVER UINT64_MAX


struct nffi_group {
    pthread_mutex_t mutex;
    pthread_cond_t tick;              /* wakes the standby */
    pthread_cond_t reserve;           /* wakes a thread that becomes it */
    nffi_group_member_t *_Atomic leader;
    atomic_bool asleep;               /* the standby sleeps */
    bool has_standby;
    bool ended;
};


nffi_group_t *
nffi_group_create(void)
{
    nffi_group_t *group;
    pthread_condattr_t attributes;

    group = calloc(1, sizeof(*group));

    if (group == NULL) {
        return NULL;
    }

    pthread_mutex_init(&group->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&group->tick, &attributes);
    pthread_cond_init(&group->reserve, &attributes);
    pthread_condattr_destroy(&attributes);

    return group;
}


void
nffi_group_destroy(nffi_group_t *group)
{
    pthread_cond_destroy(&group->tick);
    pthread_cond_destroy(&group->reserve);
    pthread_mutex_destroy(&group->mutex);
    free(group);
}


static void
wait_a_tick(nffi_group_t *group)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TICK_NS;

    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }

    (void) pthread_cond_timedwait(&group->tick, &group->mutex, &until);
}


bool
nffi_group_lead(nffi_group_t *group, nffi_group_member_t *member)
{
    bool ended;
    uint64_t turn, seen = NEVER;
    nffi_group_member_t *leader;

    pthread_mutex_lock(&group->mutex);

    while (group->has_standby && !group->ended) {
        pthread_cond_wait(&group->reserve, &group->mutex);
    }

    group->has_standby = true;

    while (!group->ended) {
        leader = atomic_load(&group->leader);

        if (leader == NULL || leader == member) {
            break;
        }

        turn = atomic_load(&leader->turn);

        if (turn == seen && (turn & 1)) {
            /* the same call as a tick ago */
            break;
        }

        if (turn == seen) {
            /* a leader that begins a call sees this, or its turn has changed */
            atomic_store(&group->asleep, true);

            if (atomic_load(&leader->turn) == seen) {
                pthread_cond_wait(&group->tick, &group->mutex);
            }

            atomic_store(&group->asleep, false);
            seen = NEVER;
            continue;
        }

        seen = turn;
        wait_a_tick(group);
    }

    group->has_standby = false;
    ended = group->ended;

    if (!ended) {
        atomic_store(&group->leader, member);
    }

    pthread_cond_signal(&group->reserve);
    pthread_mutex_unlock(&group->mutex);

    return !ended;
}


bool
nffi_group_leads(nffi_group_t *group, nffi_group_member_t *member)
{
    nffi_group_member_t *leader = atomic_load(&group->leader);

    if (leader == member) {
        return true;
    }

    pthread_mutex_lock(&group->mutex);
    leader = atomic_load(&group->leader);

    /* the leader makes a call: this thread, which is awake anyway, takes the
       calls behind it */

    if (!group->ended
        && (leader == NULL || (atomic_load(&leader->turn) & 1)))
    {
        atomic_store(&group->leader, member);
        leader = member;
    }

    pthread_mutex_unlock(&group->mutex);

    return leader == member;
}


void
nffi_group_begin(nffi_group_t *group, nffi_group_member_t *member)
{
    atomic_fetch_add(&member->turn, 1);

    if (atomic_load(&group->asleep)) {
        pthread_mutex_lock(&group->mutex);
        pthread_cond_signal(&group->tick);
        pthread_mutex_unlock(&group->mutex);
    }
}


void
nffi_group_done(nffi_group_member_t *member)
{
    atomic_fetch_add(&member->turn, 1);
}


void
nffi_group_end(nffi_group_t *group)
{
    pthread_mutex_lock(&group->mutex);
    group->ended = true;
    pthread_cond_broadcast(&group->tick);
    pthread_cond_broadcast(&group->reserve);
    pthread_mutex_unlock(&group->mutex);
}


void
nffi_group_leave(nffi_group_t *group, nffi_group_member_t *member)
{
    pthread_mutex_lock(&group->mutex);

    if (atomic_load(&group->leader) == member) {
        atomic_store(&group->leader, NULL);
        pthread_cond_signal(&group->tick);
    }

    pthread_mutex_unlock(&group->mutex);
}

/*
 * descendants.c - the end of everything that descends from this process.
 *
 * As subreaper it inherits orphans, so that whatever was started below it is
 * found by following parents, also what has left its session or its group. A
 * process whose parent is killed is found in the next round at the latest.
 */

#define _GNU_SOURCE

#include "supervisor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUND_MS 5
#define ROUNDS 1000           /* five seconds: some may be another user's */

typedef struct member {
    pid_t pid;
    pid_t parent;
    char state;
} member_t;


/* Reads /proc/PID/stat; the name of the program may hold anything. */
static bool
read_member(const char *name, member_t *member)
{
    int fd, parent;
    char path[64], text[512], *at;
    ssize_t n;

    (void) snprintf(path, sizeof(path), "/proc/%.20s/stat", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd == -1) {
        return false;
    }

    n = read(fd, text, sizeof(text) - 1);
    close(fd);

    if (n <= 0) {
        return false;
    }

    text[n] = '\0';
    at = strrchr(text, ')');

    if (at == NULL || sscanf(at + 1, " %c %d", &member->state, &parent) != 2) {
        return false;
    }

    member->pid = (pid_t) strtol(name, NULL, 10);
    member->parent = (pid_t) parent;

    return true;
}


static int
by_pid(const void *a, const void *b)
{
    const member_t *left = a, *right = b;

    return (left->pid > right->pid) - (left->pid < right->pid);
}


/* All processes, by their number; NULL: there is no /proc, or no memory. */
static member_t *
read_members(size_t *count)
{
    size_t room = 0;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    member_t *members = NULL, *more;

    *count = 0;

    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') {
            continue;
        }

        if (*count == room) {
            room = room ? room * 2 : 512;
            more = realloc(members, room * sizeof(member_t));

            if (more == NULL) {
                free(members);
                members = NULL;
                break;
            }

            members = more;
        }

        *count += read_member(entry->d_name, &members[*count]);
    }

    if (proc != NULL) {
        (void) closedir(proc);
    }

    if (members != NULL) {
        qsort(members, *count, sizeof(member_t), by_pid);
    }

    return members;
}


/* Follows the parents; bounded, since they were not read at one moment. */
static bool
descends(const member_t *members, size_t count, const member_t *member,
    pid_t from)
{
    size_t steps;
    member_t key;

    for (steps = 0; member != NULL && steps <= count; steps++) {
        if (member->parent == from) {
            return true;
        }

        key.pid = member->parent;
        member = bsearch(&key, members, count, sizeof(member_t), by_pid);
    }

    return false;
}


int
kill_descendants(void)
{
    int alive = 0;
    size_t i, count;
    pid_t self = getpid();
    member_t *members = read_members(&count);

    if (members == NULL) {
        return -1;
    }

    for (i = 0; i < count; i++) {
        if (members[i].state != 'Z' && members[i].state != 'X'
            && members[i].pid != self
            && descends(members, count, &members[i], self))
        {
            alive++;
            (void) kill(members[i].pid, SIGKILL);
        }
    }

    free(members);

    return alive;
}


void
end_descendants(void)
{
    int round;

    for (round = 0; round < ROUNDS; round++) {
        (void) kill_descendants();

        while (waitpid(-1, NULL, WNOHANG) > 0) {
            /* reaped */
        }

        if (waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD) {
            return;
        }

        (void) poll(NULL, 0, ROUND_MS);
    }
}

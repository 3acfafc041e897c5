/*
 * execute.c - becomes the program of a runtime.
 *
 * It finds /dev/null as 0, pipes as 1 and 2, and the descriptors of control.h
 * from 3 on; everything else is closed. It has a process group of its own, so
 * that a signal to nginx's group does not reach it.
 */

#define _GNU_SOURCE

#include "supervisor.h"
#include "host/forked.h"
#include "shared/control.h"
#include "host/nffi_host.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FIRST_FREE_FD 16      /* above every fixed number */
#define MAX_GROUPS 65536      /* NGROUPS_MAX of Linux */

typedef struct identity {
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    int groups_count;
} identity_t;


/* False with errno, which is 0 where there is no such user. */
static bool
find_user(const char *name, identity_t *identity)
{
    int count = 64;
    gid_t *groups;
    struct passwd *user;

    errno = 0;
    user = getpwnam(name);

    if (user == NULL) {
        /* what the services of NSS say of a name that they do not know */
        if (errno == ENOENT || errno == ESRCH) {
            errno = 0;
        }

        return false;
    }

    identity->uid = user->pw_uid;
    identity->gid = user->pw_gid;

    for ( ;; ) {
        groups = realloc(identity->groups, (size_t) count * sizeof(gid_t));

        if (groups == NULL) {
            errno = ENOMEM;
            return false;
        }

        identity->groups = groups;
        identity->groups_count = count;

        if (getgrouplist(name, identity->gid, groups, &identity->groups_count)
            >= 0)
        {
            return true;
        }

        count *= 2;

        if (count > MAX_GROUPS) {
            errno = E2BIG;
            return false;
        }
    }
}


static int
become(const identity_t *identity)
{
    if (setgroups((size_t) identity->groups_count, identity->groups) == -1
        || setresgid(identity->gid, identity->gid, identity->gid) == -1)
    {
        return -1;
    }

    return setresuid(identity->uid, identity->uid, identity->uid);
}


/* `error_fd` becomes NFFI__FD_EXEC_ERROR. */
static int
place_descriptors(const int *fds, int error_fd)
{
    int i, fd, null, from[NFFI__FD_EXEC_ERROR + 1];

    null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null == -1) {
        return -1;
    }

    from[STDIN_FILENO] = null;
    from[STDOUT_FILENO] = fds[NFFI__START_STDOUT];
    from[STDERR_FILENO] = fds[NFFI__START_STDERR];
    from[NFFI__FD_MEMORY] = fds[NFFI__START_MEMORY];
    from[NFFI__FD_TASKS] = fds[NFFI__START_TASKS];
    from[NFFI__FD_DONE] = fds[NFFI__START_DONE];
    from[NFFI__FD_CONTROL] = fds[NFFI__START_CONTROL];
    from[NFFI__FD_EXEC_ERROR] = error_fd;

    for (i = 0; i <= NFFI__FD_EXEC_ERROR; i++) {
        fd = fcntl(from[i], F_DUPFD, FIRST_FREE_FD);
        if (fd == -1) {
            return -1;
        }

        from[i] = fd;
    }

    for (i = 0; i <= NFFI__FD_EXEC_ERROR; i++) {
        if (dup2(from[i], i) == -1) {
            return -1;
        }
    }

    nffi__close_from(NFFI__FD_EXEC_ERROR + 1);

    return fcntl(NFFI__FD_EXEC_ERROR, F_SETFD, FD_CLOEXEC);
}


static int
set_limits(const nffi__order_t *order)
{
    uint32_t i;
    struct rlimit limit;

    for (i = 0; i < order->limits_count; i++) {
        limit.rlim_cur = order->limits[i].value;
        limit.rlim_max = order->limits[i].value;

        if (setrlimit((__rlimit_resource_t) order->limits[i].resource, &limit)
            == -1)
        {
            return -1;
        }
    }

    return 0;
}


/* The first existing program; errno is that of the last. */
static void
run_first(const order_t *order)
{
    uint32_t i;

    for (i = 0; i < order->head.programs; i++) {
        if (order->head.programs > 1 && order->head.arguments > 0) {
            order->argv[0] = order->programs[i];
        }

        (void) execve(order->programs[i], order->argv, order->envp);

        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) {
            return;
        }
    }
}


void
execute(const order_t *order, const int *fds, int error_fd)
{
    int error[2];
    ssize_t n;
    cpu_set_t cpus;
    identity_t identity = { 0 };

    nffi__reset_signals();

    error[0] = NFFI__STAGE_GROUP;
    if (setpgid(0, 0) == -1) {
        goto failed;
    }

    error[0] = NFFI__STAGE_NO_USER;
    if (order->user != NULL && !find_user(order->user, &identity)) {
        goto failed;
    }

    error[0] = NFFI__STAGE_DESCRIPTORS;
    if (place_descriptors(fds, error_fd) == -1) {
        goto failed;
    }

    error_fd = NFFI__FD_EXEC_ERROR;

    if (order->head.flags & NFFI_RESET_CPUS) {
        memset(&cpus, 0xff, sizeof(cpus));
        (void) sched_setaffinity(0, sizeof(cpus), &cpus);
    }

    error[0] = NFFI__STAGE_NICE;
    if (order->head.nice != 0
        && setpriority(PRIO_PROCESS, 0, order->head.nice) == -1)
    {
        goto failed;
    }

    error[0] = NFFI__STAGE_LIMITS;
    if (set_limits(&order->head) == -1) {
        goto failed;
    }

    error[0] = NFFI__STAGE_USER;
    if (order->user != NULL && become(&identity) == -1) {
        goto failed;
    }

    error[0] = NFFI__STAGE_DIRECTORY;
    if (order->directory != NULL && chdir(order->directory) == -1) {
        goto failed;
    }

    error[0] = NFFI__STAGE_EXEC;
    run_first(order);

failed:

    error[1] = errno;
    n = write(error_fd, error, sizeof(error));
    (void) n;
    _exit(127);
}

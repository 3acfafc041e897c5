/*
 * threads.c - the bound of a call of one of many runtimes, without nffi: a
 * thread wakes one of COUNT threads by a futex and waits in epoll for an
 * eventfd. Prints the microseconds of CPU time of a call.
 *
 *   threads COUNT
 */

#define _GNU_SOURCE

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALLS 100000
#define MAX 1000

typedef struct side {
    _Alignas(4096) _Atomic uint32_t asked;
    _Alignas(64) _Atomic uint32_t answered;
} side_t;

static side_t sides[MAX];
static int answers;
static uint32_t calls;        /* of each thread */


static void *
serve(void *data)
{
    uint32_t i, asked;
    uint64_t one = 1;
    side_t *side = data;

    for (i = 1; i <= calls; i++) {
        while ((asked = atomic_load(&side->asked)) < i) {
            syscall(SYS_futex, &side->asked, FUTEX_WAIT_PRIVATE, asked, NULL,
                    NULL, 0);
        }

        atomic_store(&side->answered, i);

        if (write(answers, &one, sizeof(one)) != sizeof(one)) {
            abort();
        }
    }

    return NULL;
}


static double
cpu_us(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);

    return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6
           + (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}


int
main(int argc, char **argv)
{
    int i, epoll, count = argc == 2 ? atoi(argv[1]) : 0;
    double start;
    uint32_t call;
    pthread_t thread;
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };

    if (count < 1 || count > MAX) {
        fprintf(stderr, "usage: threads COUNT (1 to %d)\n", MAX);
        return 2;
    }

    calls = CALLS / (uint32_t) count;
    answers = eventfd(0, EFD_NONBLOCK);
    epoll = epoll_create1(0);

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, answers, &event) == -1) {
        perror("epoll_ctl");
        return 1;
    }

    for (i = 0; i < count; i++) {
        if (pthread_create(&thread, NULL, serve, &sides[i]) != 0) {
            perror("pthread_create");
            return 1;
        }
    }

    usleep(100000);
    start = cpu_us();

    for (call = 1; call <= calls; call++) {
        for (i = 0; i < count; i++) {
            atomic_store(&sides[i].asked, call);
            syscall(SYS_futex, &sides[i].asked, FUTEX_WAKE_PRIVATE, 1, NULL,
                    NULL, 0);

            while (atomic_load(&sides[i].answered) < call) {
                epoll_wait(epoll, &event, 1, -1);
            }
        }
    }

    printf("%.3f\n", (cpu_us() - start) / calls / count);

    return 0;
}

/*
 * node.c - a Node process over libnffi's shared memory, in two designs: ours
 * (the addon in Node's own event loop), and a worker thread of Node that blocks
 * in poll and posts each task to the main thread. bench/node/ has the rest.
 */

#define _GNU_SOURCE

#include "../test/c/lib/start.h"
#include "bench.h"
#include "host.h"

#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 64

static nffi_host_t *host;
static nffi_process_t child;


static const char *
setting(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL) {
        fprintf(stderr, "bench: %s is not set; use bench/node/run.mjs\n", name);
        exit(2);
    }

    return value;
}


static int
collect(int *calls, int max)
{
    return bench_host_collect(child.done_fd, calls, max);
}


static int
fd(void)
{
    return child.done_fd;
}


/* Node compiles what runs often: the first calls are not measured. */
static void
warm_up(void)
{
    int i, n, sent, calls[BATCH];
    struct pollfd ready = { .fd = child.done_fd, .events = POLLIN };

    for (sent = 0; sent < 5000; sent += n) {
        for (i = 0; i < 16; i++) {
            bench_host_submit(i);
        }

        for (n = 0; n < 16; n += i) {
            i = collect(calls, BATCH);

            if (i == 0 && poll(&ready, 1, 30000) != 1) {
                bench_die("Node does not answer");
            }
        }
    }
}


static void
start(const char *program, size_t size, int cpu)
{
    int n;
    char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", *environment[3];
    char config[4096], *argv[3];
    const char *stage = "";
    cpu_set_t own, theirs;
    nffi_host_options_t options;
    nffi_spawn_options_t spawn;

    n = snprintf(config, sizeof(config),
                 "{\"module\":\"%s\",\"codec\":\"raw\"}",
                 setting("BENCH_NODE_MODULE"));
    if (n < 0 || (size_t) n >= sizeof(config)) {
        bench_die("the path of the module");
    }

    memset(&options, 0, sizeof(options));
    options.process = 1;
    options.config = config;
    options.config_size = (size_t) n;
    host = bench_host_open(options, size);

    environment[0] = path;
    environment[1] = "NFFI_ATTACH=1";
    environment[2] = NULL;
    argv[0] = (char *) setting("BENCH_NODE_PROGRAM");
    argv[1] = (char *) setting(program);
    argv[2] = NULL;

    memset(&spawn, 0, sizeof(spawn));
    spawn.programs = (char *[]) { argv[0], NULL };
    spawn.argv = argv;
    spawn.envp = environment;

    /* the child inherits the CPUs of its parent */
    sched_getaffinity(0, sizeof(own), &own);
    CPU_ZERO(&theirs);
    CPU_SET(cpu, &theirs);
    sched_setaffinity(0, sizeof(theirs), &theirs);

    if (start_process(setting("BENCH_SUPERVISOR"), host, &spawn, &child, &stage)
        != NFFI_OK)
    {
        bench_die(stage);
    }

    sched_setaffinity(0, sizeof(own), &own);
    warm_up();
}


static void
stop(void)
{
    nffi_host_close(host);
    nffi_process_kill(&child);
    nffi_process_release(&child);
    bench_host_close();

    /* the supervisor sets other CPUs for the next one */
    close(start_supervisor_fd);
    start_supervisor_of = 0;
}


static void
start_addon(size_t size, int in_flight, int cpu)
{
    (void) in_flight;
    start("BENCH_NODE_ADDON", size, cpu);
}


static void
start_poll(size_t size, int in_flight, int cpu)
{
    (void) in_flight;
    start("BENCH_NODE_POLL", size, cpu);
}


const rival_t node_poll_rival = {
    "poll", 0, start_poll, bench_host_submit, collect, fd, stop
};

const rival_t node_rival = {
    "nffi", 0, start_addon, bench_host_submit, collect, fd, stop
};

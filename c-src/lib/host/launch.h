/*
 * launch.h - messages between a worker, its supervisor (nffi-supervisor) and
 * the keeper of each process, which is a fork of the supervisor.
 *
 * All sockets are SOCK_SEQPACKET, so each message is one packet. A start
 * request is sent on the socket of the supervisor. After that, all messages
 * about the process use a separate socket between worker and keeper, so that
 * the supervisor may die, or serve several workers, without affecting a
 * process.
 */

#ifndef NFFI_LAUNCH_H
#define NFFI_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#define NFFI__LAUNCH_MAGIC 0x4c46464eu
#define NFFI__LAUNCH_VERSION 2

/* Where the supervisor finds its end of the worker's socket. */
#define NFFI__FD_WORKER 3

/* The descriptors that come with a start, in this order. */
enum nffi__start_fd {
    NFFI__START_ORDER = 0,    /* memfd: nffi__order_t and strings */
    NFFI__START_KEEPER,       /* the keeper's end of its socket */
    NFFI__START_STDOUT,
    NFFI__START_STDERR,
    NFFI__START_MEMORY,
    NFFI__START_TASKS,
    NFFI__START_DONE,
    NFFI__START_CONTROL,
    NFFI__START_FDS
};

typedef struct nffi__start {
    uint32_t magic;
    uint32_t version;
    uint32_t worker;          /* its process id */
    uint32_t reserved;
    uint64_t size;            /* of the order */
} nffi__start_t;

#define NFFI__ORDER_LIMITS 8

#define NFFI__ORDER_DIRECTORY 1u    /* in `fields` */
#define NFFI__ORDER_USER 2u

/*
 * What is executed. Strings follow, each with its NUL: the programs (the first
 * one that can be executed is started), the arguments from argv[0] on, the
 * environment, then the directory and the user's name if `fields` has them.
 */
typedef struct nffi__order {
    uint32_t flags;           /* NFFI_RESET_CPUS */
    int32_t nice;             /* 0: inherited */
    uint32_t programs;
    uint32_t arguments;
    uint32_t variables;
    uint32_t fields;
    uint32_t limits_count;
    uint32_t reserved;
    struct {
        int32_t resource;
        uint32_t reserved;
        uint64_t value;
    } limits[NFFI__ORDER_LIMITS];
} nffi__order_t;

/* Where a start can fail; nffi_stage_name() in spawn.c names them. */
enum nffi__stage {
    NFFI__STAGE_VERSION = 1,  /* worker and supervisor of two releases */
    NFFI__STAGE_KEEPER,
    NFFI__STAGE_FORK,
    NFFI__STAGE_GROUP,
    NFFI__STAGE_DESCRIPTORS,
    NFFI__STAGE_NICE,
    NFFI__STAGE_LIMITS,
    NFFI__STAGE_NO_USER,      /* errno 0: unknown user */
    NFFI__STAGE_USER,
    NFFI__STAGE_DIRECTORY,
    NFFI__STAGE_EXEC,
    NFFI__STAGES
};

enum nffi__report_type {
    NFFI__REPORT_STARTED = 1, /* with the pidfd where the kernel has one */
    NFFI__REPORT_FAILED,      /* stage and error; the keeper ends */
    NFFI__REPORT_ENDED        /* status, as waitpid() returns it */
};

/* keeper -> worker */
typedef struct nffi__report {
    uint32_t magic;
    uint32_t version;
    uint32_t type;
    int32_t pid;
    int32_t stage;
    int32_t error;            /* errno */
    int32_t status;
    int32_t reserved;
} nffi__report_t;

enum nffi__command_type {
    NFFI__COMMAND_KILL = 1,   /* the process and its descendants */
    NFFI__COMMAND_RELEASE     /* the worker closes its end: processes that are
                                 left are killed after the grace period */
};

/* worker -> keeper; end of file without a RELEASE before it: KILL */
typedef struct nffi__command {
    uint32_t magic;
    uint32_t type;
} nffi__command_t;

#endif /* NFFI_LAUNCH_H */

/*
 * test_copy.c - while a thread copies a large response, or a large chunk, other
 * threads of the runtime respond. The copy stops at a page that cannot be read,
 * until another thread has responded.
 */

#include "streams.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>

#define SIZE ((size_t) 32 << 10)
#define BIG ((size_t) 256 << 10)   /* more than the arena holds */
#define WAIT_MS 10000

/* in a process a payload takes at most an eighth of the arena */
static const nffi_host_options_t large_arenas = {
    .max_tasks = 16, .request_arena = 64 << 10, .response_arena = 1 << 20
};

static unsigned char *bytes;       /* the last page is the gate */
static size_t bytes_size;
static int reached[2], opened[2];
static atomic_int late;


/* Runs in the thread that copies. */
static void
at_the_gate(int number)
{
    char byte = 'x';
    struct pollfd pollfd = { .fd = opened[0], .events = POLLIN };

    (void) number;

    if (write(reached[1], &byte, 1) != 1) {
        _exit(1);
    }

    /* a mutex that is held would stop the other thread for this time */
    if (poll(&pollfd, 1, WAIT_MS) != 1) {
        atomic_store(&late, 1);
    }

    if (mprotect(bytes, bytes_size, PROT_READ) == -1) {
        _exit(1);
    }
}


static void
close_gate(size_t size)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    struct sigaction action = { .sa_handler = at_the_gate };

    CHECK_CALL(pipe(reached));
    CHECK_CALL(pipe(opened));
    CHECK_CALL(sigaction(SIGSEGV, &action, NULL));
    bytes_size = size;
    bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(bytes != MAP_FAILED);
    memset(bytes, 'x', size);
    CHECK_CALL(mprotect(bytes + size - page, page, PROT_NONE));
}


static void
wait_for_copy(void)
{
    char byte;

    CHECK_IS(read(reached[0], &byte, 1), 1);
}


static void
open_gate(void)
{
    int i;

    CHECK_IS(write(opened[1], "x", 1), 1);
    CHECK_IS(atomic_load(&late), 0);

    for (i = 0; i < 2; i++) {
        close(reached[i]);
    }
}


static void *
respond(void *data)
{
    nffi_task_t *task = data;

    CHECK_IS(nffi_respond(*task, 0, bytes, bytes_size), NFFI_OK);

    return NULL;
}


static void *
write_chunk(void *data)
{
    nffi_task_t *task = data;

    CHECK_IS(nffi_stream_write(*task, bytes, bytes_size), NFFI_OK);

    return NULL;
}


static void *
end_stream(void *data)
{
    nffi_task_t *task = data;

    CHECK_IS(nffi_stream_end(*task), NFFI_OK);

    return NULL;
}


/* Another task gets its response while this one is copied. */
static void
respond_beside(pair_t *pair, size_t size)
{
    pthread_t thread;
    nffi_task_t large, small;

    pair_submit(pair, "x", 1, owners);
    large = pair_take(pair).task;
    pair_submit(pair, "y", 1, owners);
    small = pair_take(pair).task;
    close_gate(size);
    CHECK_IS(pthread_create(&thread, NULL, respond, &large), 0);
    wait_for_copy();

    CHECK_IS(nffi_respond(small, 0, "small", 5), NFFI_OK);
    CHECK_IS(nffi_respond(large, 0, "twice", 5), NFFI_STALE);
    CHECK_IS(nffi_stream_write(large, "twice", 5), NFFI_STALE);
    CHECK(nffi_response_alloc(large, 1) == NULL);
    end(pair, 0, "small", 5);
    open_gate();

    CHECK_IS(pthread_join(thread, NULL), 0);
    end(pair, 0, bytes, size);
    check_done(pair);
}


static void
copies_to_arena(pair_t *pair)
{
    respond_beside(pair, SIZE);
}

BOTH_WAYS_WITH(copies_to_arena, &large_arenas)


/* Over shared memory, the kernel copies these bytes to a memfd. */
static void
copies_to_heap(void)
{
    pair_t pair;

    pair_open(&pair, &small_arenas);
    respond_beside(&pair, BIG);
}


/* A thread that ends the stream waits for the chunk that is copied. */
static void
write_beside(pair_t *pair, nffi_task_t large)
{
    nffi_task_t small;
    pthread_t writer, ender;

    pair_submit(pair, "y", 1, owners);
    small = pair_take(pair).task;
    close_gate(SIZE);
    CHECK_IS(pthread_create(&writer, NULL, write_chunk, &large), 0);
    wait_for_copy();
    CHECK_IS(pthread_create(&ender, NULL, end_stream, &large), 0);

    CHECK_IS(nffi_respond(small, 0, "small", 5), NFFI_OK);
    end(pair, 0, "small", 5);

    /* time for the ender to end it, if it does not wait */
    (void) usleep(20000);
    CHECK_IS(nffi_task_cancelled(large), 0);
    open_gate();
    CHECK_IS(pthread_join(writer, NULL), 0);
    CHECK_IS(pthread_join(ender, NULL), 0);
}


static void
collects(pair_t *pair)
{
    nffi_task_t large;

    pair_submit(pair, "x", 1, owners);
    large = pair_take(pair).task;
    write_beside(pair, large);
    end(pair, 0, bytes, SIZE);
    check_done(pair);
}

BOTH_WAYS_WITH(collects, &large_arenas)


static void
writes_chunk(pair_t *pair)
{
    nffi_task_t task, large = streaming(pair, 2 * SIZE, &task);

    write_beside(pair, large);
    chunk(pair, bytes, SIZE);
    end(pair, NFFI_HOST_END, NULL, 0);
    check_done(pair);
}

BOTH_WAYS_WITH(writes_chunk, &large_arenas)


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        CASE("others respond beside a copy to the arena", copies_to_arena),
        { "others respond beside a copy to the heap", copies_to_heap },
        CASE("others respond beside a chunk that is collected", collects),
        CASE("others respond beside a chunk of a stream", writes_chunk),
    };

    return CHECK_MAIN(argc, argv, cases);
}

/*
 * test_stream.c - responses in chunks: order, credit and what a plain call
 * collects, in both ways of hosting. test_stream_end.c has the ends.
 */

#include "streams.h"

#include <sys/resource.h>

#define OTHERS 600            /* more than NFFI__MAX_KEPT */


static void
sizes(pair_t *pair)
{
    int i;
    nffi_task_t task, running;
    unsigned char *bytes = malloc(LARGE);

    for (i = 0; i < (int) LARGE; i++) {
        bytes[i] = (unsigned char) (i * 7 + i / 251);
    }

    running = streaming(pair, LARGE * 4, &task);
    CHECK_IS(nffi_stream_write(running, "a\0b", 3), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, NULL, 0), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, bytes, 5000), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, bytes, LARGE), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, bytes + 1, LARGE - 1), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, "z", 1), NFFI_OK);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);

    chunk_read(pair, task, "a\0b", 3);
    chunk_read(pair, task, NULL, 0);
    chunk_read(pair, task, bytes, 5000);
    chunk_read(pair, task, bytes, LARGE);
    chunk_read(pair, task, bytes + 1, LARGE - 1);
    chunk_read(pair, task, "z", 1);
    end(pair, NFFI_HOST_END, NULL, 0);
    free(bytes);
    check_done(pair);
}

BOTH_WAYS(sizes)


/* Two concurrent streams, collected one thing at a time. */
static void
interleaves(pair_t *pair)
{
    int i;
    char text[16];
    nffi_task_t tasks[2], running[2];
    nffi_host_response_t response;
    int next[2] = { 0, 0 }, ends = 0;

    for (i = 0; i < 2; i++) {
        tasks[i] = pair_submit_stream(pair, "x", 1, WINDOW, &owners[i]);
        running[i] = pair_take(pair).task;
    }

    for (i = 0; i < 200; i++) {
        snprintf(text, sizeof(text), "%d", i / 2);

        if (i == 198) {
            CHECK_IS(nffi_stream_end(running[0]), NFFI_OK);
            CHECK_IS(nffi_stream_end(running[1]), NFFI_OK);
            break;
        }

        CHECK_IS(nffi_stream_write(running[i % 2], text, strlen(text)),
                 NFFI_OK);

        if (i % 5 == 0) {
            continue;
        }

        while (nffi_host_collect(pair->host, &response, 1) == 1) {
            int which = response.owner == &owners[1];

            snprintf(text, sizeof(text), "%d", next[which]++);
            CHECK_BYTES(response.data, response.size, text, strlen(text));
            nffi_host_credit(pair->host, tasks[which], response.size);
            nffi_host_release(pair->host, &response);
        }
    }

    while (nffi_host_collect(pair->host, &response, 1) == 1) {
        if (response.flags == NFFI_HOST_END) {
            ends++;

        } else {
            next[response.owner == &owners[1]]++;
        }

        nffi_host_release(pair->host, &response);
    }

    CHECK_IS(ends, 2);
    CHECK_IS(next[0], 99);
    CHECK_IS(next[1], 99);
    check_done(pair);
}

BOTH_WAYS(interleaves)


/* The chunks of a plain call are its one response: bytes, even without any. */
static void
collects(pair_t *pair)
{
    int i;
    nffi_task_t task;
    static char expected[70000], piece[700];

    pair_submit(pair, "x", 1, owners);
    task = pair_take(pair).task;
    CHECK_IS(nffi_stream_end(task), NFFI_OK);
    end(pair, 0, "", 0);

    pair_submit(pair, "x", 1, owners);
    task = pair_take(pair).task;

    for (i = 0; i < 100; i++) {
        memset(piece, 'a' + i % 26, sizeof(piece));
        memcpy(expected + i * 700, piece, sizeof(piece));
        CHECK_IS(nffi_stream_write(task, piece, sizeof(piece)), NFFI_OK);
        CHECK_IS(nffi_stream_wait(task, -1), NFFI_OK);
    }

    CHECK_IS(nffi_host_waiting(pair->host), 0);
    CHECK_IS(nffi_respond(task, 0, "x", 1), NFFI_INVALID);
    CHECK_IS(nffi_stream_end(task), NFFI_OK);
    CHECK_IS(nffi_stream_end(task), NFFI_STALE);
    end(pair, 0, expected, sizeof(expected));

    /* and one that fails on its way */
    pair_submit(pair, "x", 1, owners);
    task = pair_take(pair).task;
    CHECK_IS(nffi_stream_write(task, "lost", 4), NFFI_OK);
    CHECK_IS(nffi_respond_error(task, "why", 3, NULL, 0), NFFI_OK);
    end(pair, NFFI_HOST_ERROR, "why", 3);
    check_done(pair);
}

BOTH_WAYS(collects)


/* Collected chunks are bounded as well. */
static void
collects_bounded(void)
{
    int i;
    pair_t pair;
    nffi_task_t task;
    size_t size = 8 << 20;
    char *bytes = calloc(1, size);

    pair_open(&pair, &small_arenas);
    pair_submit(&pair, "x", 1, owners);
    task = pair_take(&pair).task;

    for (i = 0; i < 8; i++) {
        CHECK_IS(nffi_stream_write(task, bytes, size), NFFI_OK);
    }

    CHECK_IS(nffi_stream_write(task, bytes, 1), NFFI_TOO_LARGE);
    CHECK_IS(nffi_respond_error(task, "too much", 8, NULL, 0), NFFI_OK);
    end(&pair, NFFI_HOST_ERROR, "too much", 8);
    free(bytes);
    pair_close(&pair);
}


static void
bounds_chunks(pair_t *pair)
{
    int i;
    nffi_task_t task, running, notified[4];
    nffi_request_t request;

    running = streaming(pair, WINDOW, &task);

    for (i = 0; i < NFFI__CHUNKS; i++) {
        CHECK_IS(nffi_stream_write(running, "c", 1), NFFI_OK);
    }

    for (i = 0; i < 3; i++) {
        CHECK_IS(nffi_stream_write(running, "c", 1), NFFI_WOULD_BLOCK);
        CHECK_IS(nffi_stream_wait(running, 0), NFFI_WOULD_BLOCK);
    }

    CHECK_IS(nffi_stream_wait(running, 20), NFFI_WOULD_BLOCK);

    /* looking is not reading */
    for (i = 0; i < NFFI__CHUNKS; i++) {
        chunk(pair, "c", 1);
    }

    CHECK_IS(nffi_stream_write(running, "c", 1), NFFI_WOULD_BLOCK);
    CHECK_IS(nffi_stream_writable(pair->queue, notified, 4), 0);
    CHECK_IS(nffi_queue_arm(pair->queue), 0);

    /* nor does reading one of many send a note */
    nffi_host_credit(pair->host, task, 1);
    CHECK_IS(nffi_queue_arm(pair->queue), 0);
    CHECK_IS(nffi_queue_poll(pair->queue, &request, 1, 0), 0);
    CHECK_IS(nffi_stream_writable(pair->queue, notified, 4), 0);

    for (i = 1; i < NFFI__CHUNKS / 2; i++) {
        nffi_host_credit(pair->host, task, 1);
    }

    CHECK_IS(nffi_queue_arm(pair->queue), 1);
    CHECK_IS(nffi_queue_arm(pair->queue), 0);
    CHECK_IS(nffi_queue_poll(pair->queue, &request, 1, -1), 0);
    CHECK_IS(nffi_stream_writable(pair->queue, notified, 4), 1);
    CHECK(notified[0] == running);
    CHECK_IS(nffi_stream_writable(pair->queue, notified, 4), 0);
    CHECK_IS(nffi_queue_poll(pair->queue, &request, 1, 0), 0);

    for (i = 0; i < NFFI__CHUNKS / 2; i++) {
        CHECK_IS(nffi_stream_write(running, "d", 1), NFFI_OK);
    }

    CHECK_IS(nffi_stream_write(running, "d", 1), NFFI_WOULD_BLOCK);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);

    for (i = 0; i < NFFI__CHUNKS / 2; i++) {
        chunk(pair, "d", 1);
    }

    end(pair, NFFI_HOST_END, NULL, 0);
    check_done(pair);
}

BOTH_WAYS(bounds_chunks)


/* A chunk may exceed the window, alone; what comes after waits for it. */
static void
bounds_bytes(pair_t *pair)
{
    nffi_task_t task, running, notified[4];
    static char bytes[20 * WINDOW];

    running = streaming(pair, WINDOW, &task);
    CHECK_IS(nffi_stream_write(running, bytes, WINDOW - 1), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, bytes, 20 * WINDOW), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, NULL, 0), NFFI_WOULD_BLOCK);

    /* the host reports credit for the first, which is not enough */
    chunk_read(pair, task, bytes, WINDOW - 1);
    CHECK_IS(nffi_stream_write(running, NULL, 0), NFFI_WOULD_BLOCK);
    CHECK_IS(nffi_stream_writable(pair->queue, notified, 4), 0);

    chunk_read(pair, task, bytes, 20 * WINDOW);
    CHECK_IS(nffi_stream_writable(pair->queue, notified, 4), 1);
    CHECK_IS(nffi_stream_write(running, bytes, 20 * WINDOW), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, bytes, 1), NFFI_WOULD_BLOCK);
    chunk_read(pair, task, bytes, 20 * WINDOW);
    CHECK_IS(nffi_stream_wait(running, -1), NFFI_OK);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);
    end(pair, NFFI_HOST_END, NULL, 0);
    check_done(pair);
}

BOTH_WAYS(bounds_bytes)


/* A chunk is there when it was written, not when the next one is. */
static void
is_prompt(void)
{
    pair_t pair;
    nffi_task_t task, running;

    pair_open(&pair, &small_arenas);
    running = streaming(&pair, WINDOW, &task);
    CHECK_IS(nffi_host_park(pair.host), 0);
    CHECK_IS(nffi_stream_write(running, "1", 1), NFFI_OK);
    CHECK_IS(pair.wakes, 1);
    chunk(&pair, "1", 1);

    /* many chunks are one wake-up and one place on the ring */
    CHECK_IS(nffi_host_park(pair.host), 0);
    CHECK_IS(nffi_stream_write(running, "2", 1), NFFI_OK);
    CHECK_IS(nffi_stream_write(running, "3", 1), NFFI_OK);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);
    CHECK_IS(pair.wakes, 2);
    CHECK_IS(nffi__ring_waiting(&pair.host->region.header->done_ring), 1);
    CHECK_IS(nffi_host_park(pair.host), 1);
    chunk(&pair, "2", 1);
    CHECK_IS(nffi_host_park(pair.host), 1);
    chunk(&pair, "3", 1);
    end(&pair, NFFI_HOST_END, NULL, 0);
    CHECK_IS(nffi_host_park(pair.host), 0);
    check_done(&pair);
}


/* The second chunk of a stream that was announced before is behind the memfds
   of many other responses, which all fit in a large buffer of the socket. */
static void
behind_memfds(void)
{
    int i, owner, size = 8 << 20;
    pair_t pair;
    char *bytes = calloc(1, LARGE);
    nffi_task_t task, running, other;
    nffi_host_options_t many = small_arenas;
    struct rlimit files = { OTHERS * 4, OTHERS * 4 };

    if (setrlimit(RLIMIT_NOFILE, &files) == -1) {
        check_skip("this user may not have so many descriptors");
    }

    many.max_tasks = OTHERS + 16;
    pair_open_shared(&pair, &many);

    if (setsockopt(NFFI__FD_CONTROL, SOL_SOCKET, SO_SNDBUFFORCE, &size,
                   sizeof(size)) == -1)
    {
        check_skip("only root may enlarge the buffer of a socket");
    }

    running = streaming(&pair, LARGE, &task);
    CHECK_IS(nffi_stream_write(running, "1", 1), NFFI_OK);

    for (i = 0; i < OTHERS; i++) {
        pair_submit(&pair, "x", 1, &owner);
        other = pair_take(&pair).task;
        CHECK_IS(nffi_respond(other, 0, bytes, 64 << 10), NFFI_OK);
    }

    CHECK_IS(nffi_stream_write(running, bytes, 64 << 10), NFFI_OK);
    CHECK_IS(nffi_stream_end(running), NFFI_OK);
    chunk_read(&pair, task, "1", 1);
    chunk_read(&pair, task, bytes, 64 << 10);
    end(&pair, NFFI_HOST_END, NULL, 0);

    for (i = 0; i < OTHERS; i++) {
        nffi_host_response_t response = pair_response(&pair);

        CHECK(response.owner == &owner);
        CHECK_BYTES(response.data, response.size, bytes, 64 << 10);
        nffi_host_release(pair.host, &response);
    }

    free(bytes);
    check_done(&pair);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        CASE("chunks of every size arrive in order", sizes),
        CASE("streams do not mix", interleaves),
        CASE("a call collects", collects),
        { "what a call collects is bounded", collects_bounded },
        CASE("unread chunks are bounded, credit is reported", bounds_chunks),
        CASE("unread bytes are bounded", bounds_bytes),
        { "a chunk may be behind any number of memfds", behind_memfds },
        { "a chunk is there at once, and many are one wake-up", is_prompt },
    };

    return CHECK_MAIN(argc, argv, cases);
}

/*
 * test_flow.c - many concurrent streams, with a runtime that waits for credit
 * in each of the ways and a host that reads from time to time, cancels some and
 * never reads others: every chunk arrives once and in order, none is lost to a
 * missing wake-up, and unread data stay within their bounds.
 */

#include "pair.h"

#define WINDOW 2000
#define MAX_SIZE 3000
#define STREAMS 24            /* concurrently */
#define THREADS 3

enum style {
    WAITING,                  /* threads block in nffi_stream_wait */
    POLLING,                  /* one thread blocks in poll, for all streams */
    ARMED                     /* one thread waits on the descriptor */
};

typedef struct reader {
    nffi_task_t task;
    uint32_t number;          /* of the stream; what it holds follows from it */
    uint32_t next;            /* chunk */
    uint32_t unread;
    size_t sizes[NFFI__CHUNKS];
    bool open;
} reader_t;

/* The runtime's state of a stream that it writes. */
typedef struct writer {
    nffi_task_t task;
    uint32_t number;
    uint32_t next;
} writer_t;

static unsigned char bytes[MAX_SIZE * 2];
static pair_t pair;
static atomic_uint blocked;


static uint32_t
mix(uint32_t a, uint32_t b)
{
    return (a * 2654435761u) ^ (b * 40503u + (a >> 7));
}


static uint32_t
chunks_of(uint32_t number)
{
    return mix(number, 1) % 60;
}


static size_t
size_of(uint32_t number, uint32_t chunk)
{
    uint32_t kind = mix(number, chunk + 2);

    return kind % 8 == 0 ? kind / 8 % MAX_SIZE : kind / 8 % 40;
}


static const unsigned char *
bytes_of(uint32_t number, uint32_t chunk)
{
    return bytes + mix(number, chunk) % MAX_SIZE;
}


/* Writes until the end, or until there is no credit: true when it is over. */
static bool
write_on(writer_t *writer)
{
    int rc;

    for ( ;; ) {
        if (writer->next == chunks_of(writer->number)) {
            CHECK_IS(writer->number % 7 == 0
                     ? nffi_respond_error(writer->task, "end", 3, NULL, 0)
                     : nffi_stream_end(writer->task), NFFI_OK);
            return true;
        }

        rc = nffi_stream_write(writer->task,
                               bytes_of(writer->number, writer->next),
                               size_of(writer->number, writer->next));

        if (rc == NFFI_CANCELLED) {
            CHECK_IS(nffi_stream_end(writer->task), NFFI_OK);
            return true;
        }

        if (rc == NFFI_WOULD_BLOCK) {
            atomic_fetch_add(&blocked, 1);
            return false;
        }

        CHECK_IS(rc, NFFI_OK);
        writer->next++;
    }
}


static writer_t
writer_of(const nffi_request_t *request)
{
    writer_t writer = { .task = request->task };

    CHECK(request->flags & NFFI_REQUEST_STREAM);
    CHECK_IS(request->size, sizeof(uint32_t));
    memcpy(&writer.number, request->data, sizeof(uint32_t));

    return writer;
}


static void *
serve_waiting(void *data)
{
    int n, rc;
    writer_t writer;
    nffi_request_t request;

    (void) data;

    while ((n = nffi_queue_poll(pair.queue, &request, 1, -1)) >= 0) {
        if (n == 0) {
            continue;
        }

        writer = writer_of(&request);

        while (!write_on(&writer)) {
            rc = nffi_stream_wait(writer.task, -1);
            CHECK(rc == NFFI_OK || rc == NFFI_CANCELLED);
        }
    }

    CHECK_IS(n, NFFI_CLOSED);

    return NULL;
}


static void
write_on_all(writer_t *writers, int *count)
{
    int i, k, n;
    nffi_task_t notified[4];

    while ((n = nffi_stream_writable(pair.queue, notified, 4)) > 0) {
        for (k = 0; k < n; k++) {
            for (i = 0; writers[i].task != notified[k]; i++) {
                CHECK(i < *count);
            }

            if (write_on(&writers[i])) {
                writers[i] = writers[--*count];
            }
        }
    }
}


/* One thread for all streams; what waits for credit is kept. */
static void *
serve_alone(void *data)
{
    int i, n, count = 0;
    enum style style = *(enum style *) data;
    static writer_t writers[STREAMS * 2];
    nffi_request_t requests[4];
    struct pollfd pollfd = {
        .fd = nffi_queue_fd(pair.queue), .events = POLLIN
    };

    for ( ;; ) {
        n = nffi_queue_poll(pair.queue, requests, 4,
                            style == POLLING && count < STREAMS ? -1 : 0);

        if (n == NFFI_CLOSED) {
            /* a stream cancelled just before may not be reported yet */
            write_on_all(writers, &count);
            CHECK_IS(count, 0);
            return NULL;
        }

        for (i = 0; i < n; i++) {
            writers[count] = writer_of(&requests[i]);
            count += !write_on(&writers[count]);
        }

        write_on_all(writers, &count);

        if (n == 0 && style == ARMED && nffi_queue_arm(pair.queue) == 0) {
            CHECK_CALL(poll(&pollfd, 1, -1));
        }
    }
}


static void
take(reader_t *readers, nffi_host_response_t *response, int *open)
{
    reader_t *reader = response->owner;
    uint32_t number = reader->number;
    size_t size;

    CHECK(reader >= readers && reader->open);

    if ((response->flags & NFFI_HOST_CHUNK) == 0) {
        CHECK_IS(reader->next, chunks_of(number));
        CHECK_IS(response->flags, number % 7 == 0 ? NFFI_HOST_ERROR
                                                  : NFFI_HOST_END);
        reader->open = false;
        (*open)--;

    } else {
        size = size_of(number, reader->next);
        CHECK_BYTES(response->data, response->size,
                    bytes_of(number, reader->next), size);
        CHECK(reader->unread < NFFI__CHUNKS);
        reader->sizes[reader->unread++] = size;
        reader->next++;
    }

    nffi_host_release(pair.host, response);
}


/* Reads some of what is there, as a slow client lets Lua do. */
static void
read_some(reader_t *reader, uint32_t count)
{
    uint32_t i;

    count = count < reader->unread ? count : reader->unread;

    for (i = 0; i < count; i++) {
        nffi_host_credit(pair.host, reader->task, reader->sizes[i]);
    }

    reader->unread -= count;
    memmove(reader->sizes, reader->sizes + count,
            reader->unread * sizeof(size_t));
}


static void
start(reader_t *reader, uint32_t number)
{
    *reader = (reader_t) { .number = number, .open = true };
    reader->task = pair_submit_stream(&pair, &number, sizeof(number), WINDOW,
                                      reader);
}


static void
flow(enum style style, uint32_t total)
{
    int i, n, open = 0, threads = style == WAITING ? THREADS : 1;
    uint32_t number = 0, step = 0, cancelled = 0;
    pthread_t ids[THREADS];
    static reader_t readers[STREAMS];
    nffi_host_response_t response;

    for (i = 0; i < (int) sizeof(bytes); i++) {
        bytes[i] = (unsigned char) (i * 13 + i / 509);
    }

    for (i = 0; i < threads; i++) {
        CHECK_IS(pthread_create(&ids[i], NULL,
                                style == WAITING ? serve_waiting : serve_alone,
                                &style), 0);
    }

    while (number < total || open > 0) {
        for (i = 0; i < STREAMS && number < total; i++) {
            if (!readers[i].open) {
                start(&readers[i], number++);
                open++;
            }
        }

        while ((n = nffi_host_collect(pair.host, &response, 1)) == 1) {
            take(readers, &response, &open);
        }

        CHECK_IS(n, 0);

        for (i = 0; i < STREAMS; i++) {
            step++;

            if (!readers[i].open) {
                continue;
            }

            /* a runtime that is not let run cannot end what was cancelled */
            if (mix(step, 9) % 400 == 0
                && pair_state(&pair).unanswered < STREAMS * 2)
            {
                nffi_host_cancel(pair.host, readers[i].task);
                readers[i].open = false;
                open--;
                cancelled++;

            } else if (mix(step, 3) % 3 != 0) {
                read_some(&readers[i], mix(step, 4) % 10);
            }
        }

        /* now and then everything is read, and only a chunk can wake us */
        if (step % 5 == 0 && open > 0) {
            for (i = 0; i < STREAMS; i++) {
                if (readers[i].open) {
                    read_some(&readers[i], NFFI__CHUNKS);
                }
            }

            if (!nffi_host_park(pair.host)) {
                pair_sleep(&pair);
            }
        }
    }

    nffi_host_close(pair.host);

    for (i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
    }

    CHECK_IS(nffi_host_collect(pair.host, &response, 1), 0);
    CHECK(cancelled > 0);
    CHECK(blocked > total / 4);
    pair_check_idle(&pair);
    pair_close(&pair);
}


static const nffi_host_options_t small_arenas = {
    .max_tasks = 64, .request_arena = 64 << 10, .response_arena = 64 << 10
};

/* a spin that often ends between two notes, and often does not */
static const nffi_host_options_t spinning = {
    .max_tasks = 64, .request_arena = 64 << 10, .response_arena = 64 << 10,
    .spin_us = 3
};

static void
here(enum style style)
{
    pair_open(&pair, &small_arenas);
    flow(style, CHECK_SCALE(20000));
}

static void
shared(enum style style)
{
    pair_open_shared(&pair, &small_arenas);
    flow(style, CHECK_SCALE(8000));
}

static void
waiting(void)
{
    here(WAITING);
}

static void
waiting_after_spinning(void)
{
    pair_open(&pair, &spinning);
    flow(WAITING, CHECK_SCALE(20000));
}

static void
armed_after_spinning(void)
{
    pair_open_shared(&pair, &spinning);
    flow(ARMED, CHECK_SCALE(8000));
}

static void
polling(void)
{
    here(POLLING);
}

static void
armed(void)
{
    here(ARMED);
}

static void
shared_waiting(void)
{
    shared(WAITING);
}

static void
shared_polling(void)
{
    shared(POLLING);
}

static void
shared_armed(void)
{
    shared(ARMED);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "streams of threads that wait for credit", waiting },
        { "streams of one thread that polls", polling },
        { "streams of one thread with a descriptor", armed },
        { "streams of threads that wait, over shared memory",
          shared_waiting },
        { "streams of one thread that polls, over shared memory",
          shared_polling },
        { "streams of a descriptor, over shared memory", shared_armed },
        { "streams of threads that look again before they wait",
          waiting_after_spinning },
        { "streams of a descriptor that look again before they arm",
          armed_after_spinning },
    };

    return CHECK_MAIN(argc, argv, cases);
}

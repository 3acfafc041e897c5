/*
 * test_lying_runtime.c - a runtime that violates the rules of the shared
 * memory, with one false value or with noise everywhere: the host cuts it off
 * and does not crash.
 */

#include "process.h"
#include "lies.h"
#include "noise.h"
#include "pair.h"

#include <sys/mman.h>

static int owners[64];

static const nffi_host_options_t small = {
    .max_tasks = 16, .request_arena = 64 << 10, .response_arena = 64 << 10
};


/* Two tasks wait in the slots 0 and 1, the second of them a stream; a lie is in
   their words and on the rings. */

static void
push_done(pair_t *pair, uint32_t slot, uint32_t generation)
{
    nffi__region_t *region = &pair->host->region;
    nffi__ring_t *ring = &region->header->done_ring;

    region->done[nffi__ring_next(ring, region->max_tasks)]
        = (uint64_t) generation << 32 | slot;
    nffi__ring_publish(ring, 1);
}


/* Claims a response in slot 0, with `place` and the other values. */
static void
claim(pair_t *pair, uint16_t kind, uint16_t place, uint64_t offset,
    uint64_t size)
{
    volatile nffi__slot_t *slot = &pair->host->region.slots[0];

    slot->response_kind = kind;
    slot->response_storage = place;
    slot->response_offset = offset;
    slot->response_size = size;
    push_done(pair, 0, pair->host->entries[0].generation);
}


static void
send_fd(pair_t *pair, int fd)
{
    nffi__message_t message;

    memset(&message, 0, sizeof(message));
    message.type = NFFI__MESSAGE_PAYLOAD;
    message.task = (uint64_t) pair->host->entries[0].generation << 32;
    CHECK_IS(nffi__control_send(NFFI__FD_CONTROL, &message, fd, 0), NFFI_OK);
}


static void
lie_tail(pair_t *pair)
{
    atomic_fetch_add(&pair->host->region.header->done_ring.tail, 17);
}

static void
lie_tail_back(pair_t *pair)
{
    atomic_fetch_sub(&pair->host->region.header->done_ring.tail, 1);
}

static void
lie_empty_entry(pair_t *pair)
{
    atomic_fetch_add(&pair->host->region.header->done_ring.tail, 1);
}

static void
lie_slot(pair_t *pair)
{
    push_done(pair, 16, 1);
}

static void
lie_huge_slot(pair_t *pair)
{
    push_done(pair, UINT32_MAX, 1);
}

static void
lie_free_slot(pair_t *pair)
{
    push_done(pair, 9, 0);
}

static void
lie_generation(pair_t *pair)
{
    pair->host->region.slots[0].response_kind = NFFI__ANSWERED;
    push_done(pair, 0, pair->host->entries[0].generation + 1);
}

static void
lie_twice(pair_t *pair)
{
    claim(pair, NFFI__ANSWERED, NFFI__NOWHERE, 0, 0);
    push_done(pair, 0, pair->host->entries[0].generation);
}

static void
lie_kind(pair_t *pair)
{
    claim(pair, 77, NFFI__NOWHERE, 0, 0);
}

static void
lie_skipped(pair_t *pair)
{
    claim(pair, NFFI__SKIPPED, NFFI__NOWHERE, 0, 0);
}

static void
lie_place(pair_t *pair)
{
    claim(pair, NFFI__ANSWERED, 77, 0, 0);
}

static void
lie_size_of_nothing(pair_t *pair)
{
    claim(pair, NFFI__ANSWERED, NFFI__NOWHERE, 0, 1);
}

static void
lie_heap(pair_t *pair)
{
    claim(pair, NFFI__ANSWERED, NFFI__IN_HEAP, 0x1000, 1);
}

static void
lie_offset(pair_t *pair)
{
    claim(pair, NFFI__ANSWERED, NFFI__IN_ARENA, 64 << 10, 1);
}

static void
lie_negative_offset(pair_t *pair)
{
    claim(pair, NFFI__ANSWERED, NFFI__IN_ARENA, UINT64_MAX - 10, 20);
}

static void
lie_size(pair_t *pair)
{
    claim(pair, NFFI__FAILED, NFFI__IN_ARENA, 0, UINT64_MAX);
}

static void
lie_end(pair_t *pair)
{
    claim(pair, NFFI__ANSWERED, NFFI__IN_ARENA, (64 << 10) - 10, 11);
}

static void
lie_no_memfd(pair_t *pair)
{
    claim(pair, NFFI__ANSWERED, NFFI__IN_MEMFD, 0, 10);
}

static void
lie_unsealed(pair_t *pair)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK_CALL(ftruncate(fd, 4096));
    send_fd(pair, fd);
    close(fd);
    claim(pair, NFFI__ANSWERED, NFFI__IN_MEMFD, 0, 10);
}

static void
lie_short_memfd(pair_t *pair)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK_CALL(ftruncate(fd, 4096));
    CHECK_CALL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    send_fd(pair, fd);
    close(fd);
    claim(pair, NFFI__ANSWERED, NFFI__IN_MEMFD, 0, 4097);
}

static void
lie_no_file(pair_t *pair)
{
    send_fd(pair, STDIN_FILENO);
    claim(pair, NFFI__ANSWERED, NFFI__IN_MEMFD, 0, 10);
}

static void
lie_flood(pair_t *pair)
{
    int i;
    nffi__message_t message;

    memset(&message, 0, sizeof(message));
    message.type = NFFI__MESSAGE_PAYLOAD;

    for (i = 0; i < 200; i++) {
        CHECK_IS(nffi__control_send(NFFI__FD_CONTROL, &message, STDIN_FILENO,
                                    0), NFFI_OK);
    }

    CHECK_IS(nffi_host_process_event(pair->host,
                                   &(nffi_process_message_t) { 0 }),
             NFFI_PROCESS_NONE);
    claim(pair, NFFI__ANSWERED, NFFI__IN_MEMFD, 0, 10);
}


/* The stream in slot 1 claims this number of chunks, at these locations. */
static void
claim_chunks(pair_t *pair, uint32_t count, uint32_t place, uint64_t offset,
    uint32_t size)
{
    uint32_t i;
    nffi__region_t *region = &pair->host->region;
    volatile nffi__chunk_t *chunks = &region->chunks[NFFI__CHUNKS];

    for (i = 0; i < NFFI__CHUNKS; i++) {
        chunks[i].storage = place;
        chunks[i].offset = offset;
        chunks[i].size = size;
    }

    atomic_store(&region->slots[1].chunks_written, count);
    push_done(pair, 1, pair->host->entries[1].generation);
}

static void
lie_chunks_over_credit(pair_t *pair)
{
    claim_chunks(pair, NFFI__CHUNKS + 1, NFFI__NOWHERE, 0, 0);
}

static void
lie_bytes_over_credit(pair_t *pair)
{
    claim_chunks(pair, 2, NFFI__IN_ARENA, 0, 1000);
}

static void
lie_chunks_back(pair_t *pair)
{
    claim_chunks(pair, UINT32_MAX, NFFI__NOWHERE, 0, 0);
}

static void
lie_chunk_place(pair_t *pair)
{
    claim_chunks(pair, 1, 77, 0, 1);
}

static void
lie_chunk_offset(pair_t *pair)
{
    claim_chunks(pair, 1, NFFI__IN_ARENA, UINT64_MAX - 1, 2);
}

static void
lie_chunk_size(pair_t *pair)
{
    claim_chunks(pair, 1, NFFI__IN_ARENA, 0, UINT32_MAX);
}

static void
lie_chunk_of_nothing(pair_t *pair)
{
    claim_chunks(pair, 1, NFFI__NOWHERE, 0, 1);
}

static void
lie_chunk_in_heap(pair_t *pair)
{
    claim_chunks(pair, 1, NFFI__IN_HEAP, 0x1000, 1);
}

static void
lie_chunk_not_sent(pair_t *pair)
{
    claim_chunks(pair, 1, NFFI__IN_MEMFD, 0, 1);
}

static void
lie_end_of_no_stream(pair_t *pair)
{
    claim(pair, NFFI__ENDED, NFFI__NOWHERE, 0, 0);
}

static void
lie_log_offset(pair_t *pair)
{
    nffi__region_t *region = &pair->host->region;
    nffi_host_log_t log;

    region->logs[0].offset = (64 << 10) - 1;
    region->logs[0].size = 2;
    nffi__ring_publish(&region->header->logs_ring, 1);
    CHECK_IS(nffi_host_log(pair->host, &log), NFFI_PROTOCOL);
}

static void
lie_log_size(pair_t *pair)
{
    nffi__region_t *region = &pair->host->region;
    nffi_host_log_t log;

    region->logs[0].size = 2049;
    nffi__ring_publish(&region->header->logs_ring, 1);
    CHECK_IS(nffi_host_log(pair->host, &log), NFFI_PROTOCOL);
}

static void
lie_log_tail(pair_t *pair)
{
    nffi_host_log_t log;

    nffi__ring_publish(&pair->host->region.header->logs_ring, 257);
    CHECK_IS(nffi_host_log(pair->host, &log), NFFI_PROTOCOL);
}


static void
tell_host(lie_t lie)
{
    int i, n, before, pending = 0;
    void *owner;
    pair_t pair;
    nffi_task_t task;
    nffi_host_request_t request = { .data = "x", .size = 1 };
    nffi_host_response_t responses[4];

    pair_open_shared(&pair, &small);
    before = open_fds();
    pair_submit(&pair, "x", 1, &owners[0]);
    pair_submit_stream(&pair, "x", 1, 100, &owners[1]);
    lie(&pair);

    /* what is right may come first, then it is over */
    n = nffi_host_collect(pair.host, responses, 4);

    for (i = 0; i < n; i++) {
        nffi_host_release(pair.host, &responses[i]);
    }

    if (n >= 0) {
        CHECK_IS(nffi_host_collect(pair.host, responses, 4), NFFI_PROTOCOL);
    }

    CHECK(n < 0 || n == 1);
    CHECK_IS(nffi_host_collect(pair.host, responses, 4), NFFI_PROTOCOL);
    CHECK_IS(nffi_host_submit(pair.host, &request, owners, &task),
             NFFI_CLOSED);
    (void) nffi_host_park(pair.host);

    while ((owner = nffi_host_take_pending(pair.host)) != NULL) {
        CHECK(owner == &owners[0] || owner == &owners[1]);
        pending++;
    }

    CHECK_IS(pending, n > 0 && !(responses[0].flags & NFFI_HOST_CHUNK) ? 1 : 2);
    nffi_host_close(pair.host);
    pair_close(&pair);

    /* tasks_fd and done_fd: the other end of the socket is kept open */
    CHECK(open_fds() <= before - 2);
}


static void
host_finds_lies(void)
{
    static const lie_t lies[] = {
        lie_tail, lie_tail_back, lie_empty_entry, lie_slot, lie_huge_slot,
        lie_free_slot, lie_generation, lie_twice, lie_kind, lie_skipped,
        lie_place, lie_size_of_nothing, lie_heap, lie_offset,
        lie_negative_offset, lie_size, lie_end, lie_no_memfd,
        lie_unsealed, lie_short_memfd, lie_no_file, lie_flood,
        lie_chunks_over_credit, lie_bytes_over_credit, lie_chunks_back,
        lie_chunk_place, lie_chunk_offset, lie_chunk_size,
        lie_chunk_of_nothing, lie_chunk_in_heap, lie_chunk_not_sent,
        lie_end_of_no_stream, lie_log_offset, lie_log_size, lie_log_tail
    };

    tell_each(tell_host, lies, sizeof(lies) / sizeof(lies[0]));
}


/* Lies that cost only the liar: the host bounds or ignores them. */
static void
host_bears_lies(void)
{
    int i;
    pair_t pair;
    nffi_task_t task;
    nffi_host_response_t response;
    nffi_host_request_t request = { .data = "x", .size = 1 };
    nffi__header_t *header;

    pair_open_shared(&pair, &small);
    header = pair.host->region.header;
    pair_submit(&pair, "x", 1, &owners[0]);
    pair.host->region.slots[0].message_size = UINT32_MAX;
    memcpy(pair.host->region.response_arena, "0123456789", 10);
    claim(&pair, NFFI__FAILED, NFFI__IN_ARENA, 0, 10);
    response = pair_response(&pair);
    CHECK_IS(response.message_size, 10);
    nffi_host_release(pair.host, &response);

    /* the head of the tasks: the queue looks full, or empty */
    atomic_fetch_add(&header->tasks_ring.head, 100);

    for (i = 0; i < 40; i++) {
        (void) nffi_host_submit(pair.host, &request, owners, &task);
    }

    atomic_fetch_sub(&header->tasks_ring.head, 200);

    for (i = 0; i < 40; i++) {
        (void) nffi_host_submit(pair.host, &request, owners, &task);
    }

    /* the head of the notes and of the freed blocks */
    atomic_fetch_add(&header->notes_ring.head, 1000);
    atomic_fetch_sub(&header->frees_ring.head, 1000);

    while (nffi_host_take_pending(pair.host) != NULL) {
        /* cancels each */
    }

    nffi_host_close(pair.host);
    pair_close(&pair);
}


/* A permanently full ring of freed blocks is found at release. */
static void
host_finds_full_frees(void)
{
    pair_t pair;
    nffi_host_response_t response;

    pair_open_shared(&pair, &small);
    pair_submit(&pair, "x", 1, owners);
    atomic_fetch_sub(&pair.host->region.header->frees_ring.head,
                     pair.host->region.frees_count);
    claim(&pair, NFFI__ANSWERED, NFFI__IN_ARENA, 0, 10);
    response = pair_response(&pair);
    nffi_host_release(pair.host, &response);
    CHECK_IS(nffi_host_collect(pair.host, &response, 1), NFFI_PROTOCOL);
    pair_close(&pair);
}


static void
play_noise(void)
{
    nffi__region_t region;
    nffi_queue_t *queue;
    int fd = dup(NFFI__FD_MEMORY);

    CHECK_IS(nffi__region_attach(&region, fd), NFFI_OK);
    CHECK_IS(nffi_attach(&queue), NFFI_OK);
    CHECK_IS(nffi_attach_ready(queue), NFFI_OK);
    noise_state = (uint32_t) getpid();
    scribble(&region, NOISE_MS);
}


static void
host_bears_noise(void)
{
    int i, n, rounds, broken = 0;
    process_t process;
    nffi_task_t task;
    nffi_host_log_t log;
    nffi_host_state_t state;
    nffi_host_response_t responses[4];
    nffi_process_message_t message;
    nffi_host_request_t request = { .data = "0123456789", .size = 10 };

    /* a host that has found a lie looks no further: many are needed */
    for (rounds = 0; rounds < 4; rounds++) {
        process_start(&process, &small, "noise");

        while (nffi_host_process_event(process.host, &message)
               != NFFI_PROCESS_GONE)
        {
            request.window = noise_below(2) ? 100 : 0;

            if (nffi_host_submit(process.host, &request, owners, &task)
                == NFFI_OK)
            {
                nffi_host_credit(process.host, task, 10);

                if (noise_below(3) == 0) {
                    nffi_host_cancel(process.host, task);
                }
            }

            broken |= nffi_host_log(process.host, &log) == NFFI_PROTOCOL;
            process.host->broken = false;
            n = nffi_host_collect(process.host, responses, 4);
            broken |= n == NFFI_PROTOCOL;

            for (i = 0; i < n; i++) {
                nffi_host_release(process.host, &responses[i]);
            }

            (void) nffi_host_park(process.host);
            nffi_host_state(process.host, &state);
            process.host->broken = false;
        }

        while (nffi_host_take_pending(process.host) != NULL) {
            /* all */
        }

        process_end(&process);
    }

    CHECK(broken);
}


int
main(int argc, char **argv)
{
    static const process_role_t roles[] = {
        { "noise", play_noise },
    };
    static const check_case_t cases[] = {
        { "lies are found and cost the runtime its queue", host_finds_lies },
        { "lies that harm only the liar are borne", host_bears_lies },
        { "a ring that is full for ever is found", host_finds_full_frees },
        { "noise all over the memory is borne", host_bears_noise },
    };

    PROCESS_PLAY(argc, argv, roles);

    return CHECK_MAIN(argc, argv, cases);
}

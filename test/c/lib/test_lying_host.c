/*
 * test_lying_host.c - a host that violates the rules of the shared memory,
 * with one false value or with noise everywhere: the runtime sees the end of
 * its queue and does not crash.
 */

#include "process.h"
#include "lies.h"
#include "noise.h"
#include "pair.h"

static int owners[64];

static const nffi_host_options_t small = {
    .max_tasks = 16, .request_arena = 64 << 10, .response_arena = 64 << 10
};


/* One honest task waits in slot 0. */

static void
push_task(pair_t *pair, uint32_t number)
{
    nffi__region_t *region = &pair->host->region;
    nffi__ring_t *ring = &region->header->tasks_ring;

    region->tasks[nffi__ring_next(ring, region->max_tasks)] = number;
    nffi__ring_publish(ring, 1);
}


static volatile nffi__slot_t *
slot_of(pair_t *pair)
{
    return &pair->host->region.slots[0];
}

static void
lie_tasks_tail(pair_t *pair)
{
    atomic_fetch_add(&pair->host->region.header->tasks_ring.tail, 17);
}

static void
lie_number(pair_t *pair)
{
    push_task(pair, 16);
}

static void
lie_huge_number(pair_t *pair)
{
    push_task(pair, UINT32_MAX);
}

static void
lie_number_twice(pair_t *pair)
{
    push_task(pair, 0);
}

static void
lie_request_offset(pair_t *pair)
{
    slot_of(pair)->request_offset = UINT64_MAX;
}

static void
lie_request_size(pair_t *pair)
{
    slot_of(pair)->request_size = (64 << 10) + 1;
}

static void
lie_huge_request(pair_t *pair)
{
    slot_of(pair)->request_size = UINT64_MAX;
}

static void
lie_method(pair_t *pair)
{
    slot_of(pair)->method_size = 2;
}

static void
lie_request_nowhere(pair_t *pair)
{
    slot_of(pair)->request_storage = NFFI__NOWHERE;
}

static void
lie_request_in_heap(pair_t *pair)
{
    slot_of(pair)->request_storage = NFFI__IN_HEAP;
}

static void
lie_request_storage(pair_t *pair)
{
    slot_of(pair)->request_storage = 77;
}

static void
lie_request_memfd(pair_t *pair)
{
    pair_inner(pair->queue)->payload_ms = 50;
    slot_of(pair)->request_storage = NFFI__IN_MEMFD;
}

/* All of the arena, so that the NUL would be behind it. */
static void
lie_request_to_the_end(pair_t *pair)
{
    slot_of(pair)->request_offset = 0;
    slot_of(pair)->request_size = 64 << 10;
}

/* A file that has the bytes and no NUL. */
static void
lie_memfd_without_nul(pair_t *pair)
{
    nffi__memfd_t memfd;
    nffi__message_t message = {
        .type = NFFI__MESSAGE_PAYLOAD, .abi = NFFI_ABI_VERSION,
        .task = (uint64_t) slot_of(pair)->generation << 32
    };

    slot_of(pair)->request_storage = NFFI__IN_MEMFD;
    slot_of(pair)->request_size = 4096;
    CHECK_IS(nffi__memfd_create(&memfd, 4096), NFFI_OK);
    CHECK_IS(nffi__memfd_seal(&memfd), NFFI_OK);
    CHECK_IS(nffi__control_send(pair->host->control_fd, &message, memfd.fd, 0),
             NFFI_OK);
    close(memfd.fd);
}

static void
lie_notes(pair_t *pair)
{
    nffi_task_t notified[16];

    atomic_fetch_add(&pair->host->region.header->notes_ring.tail, 17);
    CHECK_IS(nffi_queue_cancelled(pair->queue, notified, 16), 0);
}


/* Credit for chunks that were never written. */
static void
lie_credit(pair_t *pair)
{
    nffi_request_t request;

    pair_submit_stream(pair, "x", 1, 100, owners);
    CHECK_IS(nffi_queue_poll(pair->queue, &request, 1, 0), 1);
    CHECK_IS(nffi_queue_poll(pair->queue, &request, 1, 0), 1);
    CHECK_IS(nffi_stream_write(request.task, "y", 1), NFFI_OK);
    atomic_store(&pair->host->region.slots[1].chunks_read, 2);
    CHECK_IS(nffi_stream_write(request.task, "y", 1), NFFI_CLOSED);
    CHECK_IS(nffi_stream_wait(request.task, -1), NFFI_CLOSED);
}


static void
tell_runtime(lie_t lie)
{
    int n;
    pair_t pair;
    nffi_task_t notified[16];
    nffi_request_t requests[4];

    pair_open_shared(&pair, &small);
    pair_submit(&pair, "x", 1, owners);
    lie(&pair);
    n = nffi_queue_poll(pair.queue, requests, 4, -1);

    if (n > 0) {
        CHECK_IS(n, 1);
        CHECK_IS(nffi_queue_poll(pair.queue, requests + 1, 3, -1),
                 NFFI_CLOSED);
        CHECK_IS(nffi_respond(requests[0].task, 0, "x", 1), NFFI_OK);

    } else {
        CHECK_IS(n, NFFI_CLOSED);
    }

    CHECK_IS(nffi_queue_poll(pair.queue, requests, 4, -1), NFFI_CLOSED);
    CHECK_IS(nffi_queue_arm(pair.queue), 1);
    CHECK(nffi_queue_cancelled(pair.queue, notified, 16) >= 0);
    pair_close(&pair);
}


static void
runtime_finds_lies(void)
{
    static const lie_t lies[] = {
        lie_tasks_tail, lie_number, lie_huge_number, lie_number_twice,
        lie_request_offset, lie_request_size, lie_huge_request, lie_method,
        lie_request_nowhere, lie_request_in_heap, lie_request_storage,
        lie_request_memfd, lie_request_to_the_end, lie_memfd_without_nul,
        lie_notes, lie_credit
    };

    tell_each(tell_runtime, lies, sizeof(lies) / sizeof(lies[0]));
}


/* Blocks "freed" that were never lent, and notes about no task. */
static void
runtime_bears_lies(void)
{
    uint32_t i;
    char *buffer;
    pair_t pair;
    nffi_task_t notified[16];
    nffi_request_t request;
    nffi__region_t *region;

    pair_open_shared(&pair, &small);
    region = &pair.host->region;
    pair_submit(&pair, "x", 1, owners);
    request = pair_take(&pair);
    buffer = nffi_response_alloc(request.task, 100);
    CHECK(buffer != NULL);

    for (i = 0; i < 16; i++) {
        region->frees[i] = i * 64;
        region->notes[i] = i % 2 ? UINT32_MAX - i : i;
    }

    nffi__ring_publish(&region->header->frees_ring, 16);
    nffi__ring_publish(&region->header->notes_ring, 16);

    CHECK(nffi_response_alloc(request.task, 100) != buffer);
    CHECK_IS(pair_inner(pair.queue)->arena.outstanding, 2);
    CHECK_IS(nffi_queue_cancelled(pair.queue, notified, 16), 0);
    CHECK_IS(nffi_respond_buffer(request.task, 0, buffer, 100), NFFI_OK);

    pair_submit(&pair, "x", 1, owners);
    request = pair_take(&pair);
    atomic_fetch_add(&region->header->frees_ring.tail,
                     region->frees_count + 1);
    CHECK_IS(nffi_respond(request.task, 0, "y", 1), NFFI_OK);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), NFFI_CLOSED);
    pair_close(&pair);
}


static void
play_victim(void)
{
    int i, n;
    nffi_queue_t *queue;
    nffi_task_t notified[16];
    nffi_request_t requests[4];
    long long end = now_ms() + NOISE_MS;

    CHECK_IS(nffi_attach(&queue), NFFI_OK);
    CHECK_IS(nffi_attach_ready(queue), NFFI_OK);
    pair_inner(queue)->payload_ms = 1;

    while (now_ms() < end) {
        n = nffi_queue_poll(queue, requests, 4, 1);

        for (i = 0; i < n; i++) {
            (void) nffi_task_cancelled(requests[i].task);
            (void) nffi_log(requests[i].task, NFFI_LOG_INFO, "victim", 6);

            if (requests[i].flags & NFFI_REQUEST_STREAM) {
                (void) nffi_stream_write(requests[i].task, "0123456789", 10);
                (void) nffi_stream_wait(requests[i].task, 0);
                CHECK_IS(nffi_stream_end(requests[i].task), NFFI_OK);
                continue;
            }

            CHECK_IS(nffi_respond(requests[i].task, 0, "0123456789", 10),
                     NFFI_OK);
        }

        (void) nffi_queue_cancelled(queue, notified, 16);
        (void) nffi_stream_writable(queue, notified, 16);
        (void) nffi_queue_arm(queue);

        /* goes on where a real one is cut off */
        pair_inner(queue)->broken = false;
    }
}


static void
runtime_bears_noise(void)
{
    int rounds;
    process_t process;

    for (rounds = 0; rounds < 4; rounds++) {
        process_start(&process, &small, "victim");
        noise_state = (uint32_t) rounds;
        scribble(&process.host->region, NOISE_MS);
        process.host->broken = true;
        process_end(&process);
    }
}


int
main(int argc, char **argv)
{
    static const process_role_t roles[] = {
        { "victim", play_victim },
    };
    static const check_case_t cases[] = {
        { "lies are found and close the queue", runtime_finds_lies },
        { "lies that harm only the liar are borne", runtime_bears_lies },
        { "noise all over the memory is borne", runtime_bears_noise },
    };

    PROCESS_PLAY(argc, argv, roles);

    return CHECK_MAIN(argc, argv, cases);
}

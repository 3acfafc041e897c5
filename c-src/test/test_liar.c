/*
 * test_liar.c - a peer that breaks the rules of the shared memory, by one lie
 * at a time or by writing noise all over it: it is cut off, and the honest
 * side does not crash.
 */

#include "child.h"
#include "pair.h"

#include <sys/mman.h>

#define NOISE_MS 100

static int owners[64];

static const nffi_host_options_t small = {
    .max_tasks = 16, .request_arena = 64 << 10, .response_arena = 64 << 10
};


/* A lying runtime. One task is queued in slot 0, one runs in slot 1; the lie
   is told in their words and on the rings. */

typedef void (*lie_t)(pair_t *pair);

static void
push_done(pair_t *pair, uint32_t slot, uint32_t generation)
{
    nffi__region_t *region = &pair->host->region;
    nffi__ring_t *ring = &region->header->done_ring;

    region->done[nffi__ring_next(ring, region->max_tasks)]
        = (uint64_t) generation << 32 | slot;
    nffi__ring_publish(ring, 1);
}


/* Says that slot 0 was answered, as `place` and the rest tell. */
static void
claim(pair_t *pair, uint16_t outcome, uint16_t place, uint64_t offset,
    uint64_t size)
{
    volatile nffi__slot_t *slot = &pair->host->region.slots[0];

    slot->outcome = outcome;
    slot->response_place = place;
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
    pair->host->region.slots[0].outcome = NFFI__ANSWERED;
    push_done(pair, 0, pair->host->entries[0].generation + 1);
}

static void
lie_twice(pair_t *pair)
{
    claim(pair, NFFI__ANSWERED, NFFI__NOWHERE, 0, 0);
    push_done(pair, 0, pair->host->entries[0].generation);
}

static void
lie_outcome(pair_t *pair)
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
lie_no_descriptor(pair_t *pair)
{
    send_fd(pair, -1);
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

    CHECK_IS(nffi_host_child_event(pair->host,
                                   &(nffi_child_message_t) { 0 }),
             NFFI_CHILD_NONE);
    claim(pair, NFFI__ANSWERED, NFFI__IN_MEMFD, 0, 10);
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
    pair_submit(&pair, "x", 1, &owners[1]);
    lie(&pair);

    /* what is right may come first, then it is over */
    n = nffi_host_drain(pair.host, responses, 4);

    for (i = 0; i < n; i++) {
        nffi_host_release(pair.host, &responses[i]);
    }

    if (n >= 0) {
        CHECK_IS(nffi_host_drain(pair.host, responses, 4), NFFI_PROTOCOL);
    }

    CHECK(n < 0 || n == 1);
    CHECK_IS(nffi_host_drain(pair.host, responses, 4), NFFI_PROTOCOL);
    CHECK_IS(nffi_host_submit(pair.host, &request, owners, &task),
             NFFI_CLOSED);
    (void) nffi_host_park(pair.host);

    while ((owner = nffi_host_take_pending(pair.host)) != NULL) {
        CHECK(owner == &owners[0] || owner == &owners[1]);
        pending++;
    }

    CHECK_IS(pending, n > 0 ? 1 : 2);
    nffi_host_close(pair.host);
    pair_close(&pair);

    /* tasks_fd and done_fd: the other end of the socket is kept open */
    CHECK(open_fds() <= before - 2);
}


static void
host_finds_lies(void)
{
    size_t i;
    int status;
    static const lie_t lies[] = {
        lie_tail, lie_tail_back, lie_empty_entry, lie_slot, lie_huge_slot,
        lie_free_slot, lie_generation, lie_twice, lie_outcome, lie_skipped,
        lie_place, lie_size_of_nothing, lie_heap, lie_offset,
        lie_negative_offset, lie_size, lie_end, lie_no_memfd,
        lie_no_descriptor, lie_unsealed, lie_short_memfd, lie_no_file,
        lie_flood
    };

    for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        if (fork() == 0) {
            tell_host(lies[i]);
            exit(0);
        }

        CHECK(wait(&status) > 0);

        if (status != 0) {
            check_fail(__FILE__, __LINE__, "lie %zu: status 0x%x", i,
                       (unsigned) status);
        }
    }
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


/* A ring of freed blocks that is full for ever is found at release. */
static void
host_finds_full_frees(void)
{
    pair_t pair;
    nffi_host_response_t response;

    pair_open_shared(&pair, &small);
    pair_submit(&pair, "x", 1, owners);
    atomic_fetch_sub(&pair.host->region.header->frees_ring.head, 16);
    claim(&pair, NFFI__ANSWERED, NFFI__IN_ARENA, 0, 10);
    response = pair_response(&pair);
    nffi_host_release(pair.host, &response);
    CHECK_IS(nffi_host_drain(pair.host, &response, 1), NFFI_PROTOCOL);
    pair_close(&pair);
}


/* A lying host. One honest task waits in slot 0. */

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
    slot_of(pair)->request_place = NFFI__NOWHERE;
}

static void
lie_request_in_heap(pair_t *pair)
{
    slot_of(pair)->request_place = NFFI__IN_HEAP;
}

static void
lie_request_place(pair_t *pair)
{
    slot_of(pair)->request_place = 77;
}

static void
lie_request_memfd(pair_t *pair)
{
    pair->queue->payload_ms = 50;
    slot_of(pair)->request_place = NFFI__IN_MEMFD;
}

static void
lie_notes(pair_t *pair)
{
    nffi_task_t told[16];

    atomic_fetch_add(&pair->host->region.header->notes_ring.tail, 17);
    CHECK_IS(nffi_queue_cancelled(pair->queue, told, 16), 0);
}


static void
tell_runtime(lie_t lie)
{
    int n;
    pair_t pair;
    nffi_task_t told[16];
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
    CHECK(nffi_queue_cancelled(pair.queue, told, 16) >= 0);
    pair_close(&pair);
}


static void
runtime_finds_lies(void)
{
    size_t i;
    int status;
    static const lie_t lies[] = {
        lie_tasks_tail, lie_number, lie_huge_number, lie_number_twice,
        lie_request_offset, lie_request_size, lie_huge_request, lie_method,
        lie_request_nowhere, lie_request_in_heap, lie_request_place,
        lie_request_memfd, lie_notes
    };

    for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        if (fork() == 0) {
            tell_runtime(lies[i]);
            exit(0);
        }

        CHECK(wait(&status) > 0);

        if (status != 0) {
            check_fail(__FILE__, __LINE__, "lie %zu: status 0x%x", i,
                       (unsigned) status);
        }
    }
}


/* Blocks "freed" that were never lent, and notes about no task. */
static void
runtime_bears_lies(void)
{
    uint32_t i;
    char *buffer;
    pair_t pair;
    nffi_task_t told[16];
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
    CHECK_IS(pair.queue->arena.outstanding, 2);
    CHECK_IS(nffi_queue_cancelled(pair.queue, told, 16), 0);
    CHECK_IS(nffi_respond_buffer(request.task, 0, buffer, 100), NFFI_OK);

    pair_submit(&pair, "x", 1, owners);
    request = pair_take(&pair);
    atomic_fetch_add(&region->header->frees_ring.tail, 100);
    CHECK_IS(nffi_respond(request.task, 0, "y", 1), NFFI_OK);
    CHECK_IS(nffi_queue_poll(pair.queue, &request, 1, 0), NFFI_CLOSED);
    pair_close(&pair);
}


/* Noise: a process that writes at random over all words but the payloads. */

static uint32_t noise_state = 99;

static uint32_t
random_below(uint32_t n)
{
    noise_state = noise_state * 1664525u + 1013904223u;

    return (uint32_t) (((uint64_t) noise_state * n) >> 32);
}


static void
scribble(const nffi__region_t *region, int ms)
{
    int i;
    long long end = now_ms() + ms;
    size_t words = (region->request_arena
                    - (unsigned char *) region->header) / sizeof(uint32_t);
    size_t first = offsetof(nffi__header_t, tasks_ring) / sizeof(uint32_t);
    volatile uint32_t *word = (volatile uint32_t *) region->header;

    while (now_ms() < end) {
        for (i = 0; i < 100; i++) {
            word[first + random_below((uint32_t) (words - first))]
                = random_below(2) ? random_below(20)
                                  : random_below(UINT32_MAX);
        }
    }
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
    child_t child;
    nffi_task_t task;
    nffi_host_state_t state;
    nffi_host_response_t responses[4];
    nffi_child_message_t message;
    nffi_host_request_t request = { .data = "0123456789", .size = 10 };

    /* a host that has found a lie looks no further: many are needed */
    for (rounds = 0; rounds < 4; rounds++) {
        child_start(&child, &small, "noise");

        while (nffi_host_child_event(child.host, &message) != NFFI_CHILD_GONE) {
            if (nffi_host_submit(child.host, &request, owners, &task)
                == NFFI_OK && random_below(3) == 0)
            {
                nffi_host_cancel(child.host, task);
            }

            n = nffi_host_drain(child.host, responses, 4);
            broken |= n == NFFI_PROTOCOL;

            for (i = 0; i < n; i++) {
                nffi_host_release(child.host, &responses[i]);
            }

            (void) nffi_host_park(child.host);
            nffi_host_state(child.host, &state);
            child.host->broken = false;
        }

        while (nffi_host_take_pending(child.host) != NULL) {
            /* all */
        }

        child_end(&child);
    }

    CHECK(broken);
}


static void
play_victim(void)
{
    int i, n;
    nffi_queue_t *queue;
    nffi_task_t told[16];
    nffi_request_t requests[4];
    long long end = now_ms() + NOISE_MS;

    CHECK_IS(nffi_attach(&queue), NFFI_OK);
    CHECK_IS(nffi_attach_ready(queue), NFFI_OK);
    queue->payload_ms = 1;

    while (now_ms() < end) {
        n = nffi_queue_poll(queue, requests, 4, 1);

        for (i = 0; i < n; i++) {
            (void) nffi_task_cancelled(requests[i].task);
            CHECK_IS(nffi_respond(requests[i].task, 0, "0123456789", 10),
                     NFFI_OK);
        }

        (void) nffi_queue_cancelled(queue, told, 16);
        (void) nffi_queue_arm(queue);

        /* goes on where a real one is cut off */
        queue->broken = false;
    }
}


static void
runtime_bears_noise(void)
{
    int rounds;
    child_t child;

    for (rounds = 0; rounds < 4; rounds++) {
        child_start(&child, &small, "victim");
        noise_state = (uint32_t) rounds;
        scribble(&child.host->region, NOISE_MS);
        child.host->broken = true;
        child_end(&child);
    }
}


int
main(int argc, char **argv)
{
    static const child_role_t roles[] = {
        { "noise", play_noise },
        { "victim", play_victim },
    };
    static const check_case_t cases[] = {
        { "the host finds a runtime's lies", host_finds_lies },
        { "the host bears lies that harm only the liar", host_bears_lies },
        { "the host finds a ring that is full for ever",
          host_finds_full_frees },
        { "the host bears noise all over the memory", host_bears_noise },
        { "the runtime finds a host's lies", runtime_finds_lies },
        { "the runtime bears lies that harm only the liar",
          runtime_bears_lies },
        { "the runtime bears noise all over the memory", runtime_bears_noise },
    };

    CHILD_PLAY(argc, argv, roles);

    return CHECK_MAIN(argc, argv, cases);
}

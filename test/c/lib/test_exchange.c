/*
 * test_exchange.c - a random load: several runtime threads answer in every
 * way, the host cancels now and then, and every byte of every request, method
 * and response is checked. The arenas are small, so that all places are used.
 */

#include "pair.h"
#include "random.h"

#define THREADS 3
#define MAX_IN_FLIGHT 200
#define MAX_SIZE 40000
#define ABANDONED 1           /* states of a call beside its size */
#define FINISHED 2

/* The header of a request; its bytes follow. */
typedef struct label {
    uint32_t call;
    uint32_t size;            /* of the bytes */
    uint32_t answer_size;
    uint32_t way;
} label_t;

typedef struct call {
    nffi_task_t task;
    label_t label;
    int state;
} call_t;

static unsigned char bytes[MAX_SIZE * 2];
static nffi_queue_t *queue;
static atomic_int released, owned;


/* The bytes of a call: a window on the same pattern. */
static const unsigned char *
bytes_of(uint32_t call, int answer)
{
    return bytes + (call * 31 + (answer ? 7 : 0)) % MAX_SIZE;
}


static uint32_t
random_size(uint32_t *state)
{
    switch (random_below(state, 16)) {
    case 0:
        return 0;
    case 1:
        return random_below(state, MAX_SIZE);
    default:
        return random_below(state, 600);
    }
}


static void
count_release(void *data)
{
    atomic_fetch_add(&released, 1);
    free(data);
}


static void
check_request(const nffi_request_t *request, label_t *label)
{
    CHECK(request->size >= sizeof(*label));
    memcpy(label, request->data, sizeof(*label));
    CHECK_BYTES((const char *) request->data + sizeof(*label),
                request->size - sizeof(*label), bytes_of(label->call, 0),
                label->size);
    CHECK_IS(((const char *) request->data)[request->size], '\0');
    CHECK_BYTES(request->method, request->method_size,
                bytes_of(label->call, 0), label->call % 256);
    CHECK_IS(request->deadline_ns, label->call);
}


/* Answers in one of the ways; the second time must be refused. */
static void
answer(const nffi_request_t *request, const label_t *label)
{
    char *copy;
    nffi_request_t again;
    size_t size = label->answer_size;
    nffi_task_t task = request->task;
    const unsigned char *data = bytes_of(label->call, 1);

    switch (label->way) {

    case 0:
        CHECK_IS(nffi_respond(task, 0, data, size), NFFI_OK);
        break;

    case 1:
        copy = nffi_response_alloc(task, size + label->call % 300);
        CHECK(copy != NULL);
        memcpy(copy, data, size);
        CHECK_IS(nffi_respond_buffer(task, 1, copy, size), NFFI_OK);
        break;

    case 2:
        copy = malloc(size + 1);
        memcpy(copy, data, size);
        atomic_fetch_add(&owned, 1);
        CHECK_IS(nffi_respond_owned(task, 2, copy, size, count_release),
                 NFFI_OK);
        break;

    case 3:
        CHECK_IS(nffi_respond_error(task, data, size / 2, data + size / 2,
                                    size - size / 2), NFFI_OK);
        break;

    case 4:
        copy = nffi_response_alloc(task, size);
        memset(copy, 'n', size);
        nffi_response_discard(task, copy);
        CHECK_IS(nffi_task_request(task, &again), NFFI_OK);
        CHECK(again.data == request->data);
        CHECK(nffi_task_cancelled(task) >= 0);
        CHECK_IS(nffi_respond(task, 4, data, size), NFFI_OK);
        break;
    }

    if (label->call % 50 == 0) {
        CHECK_IS(nffi_respond(task, 9, "twice", 5), NFFI_STALE);
    }
}


static void *
serve(void *data)
{
    int i, n, count;
    label_t label;
    nffi_task_t notified[8];
    nffi_request_t requests[8];
    nffi_response_t batch[8];

    (void) data;

    while ((n = nffi_queue_poll(queue, requests, 8, -1)) > 0) {
        count = 0;
        CHECK(nffi_queue_cancelled(queue, notified, 8) >= 0);
        memset(batch, 0, sizeof(batch));

        for (i = 0; i < n; i++) {
            check_request(&requests[i], &label);

            if (label.way < 5) {
                answer(&requests[i], &label);
                continue;
            }

            batch[count].task = requests[i].task;
            batch[count].data = (void *) bytes_of(label.call, 1);
            batch[count].size = label.answer_size;
            batch[count++].rc = 5;
        }

        CHECK_IS(nffi_respond_batch(batch, (size_t) count), count);
    }

    CHECK_IS(n, NFFI_CLOSED);

    return NULL;
}


static void
check_response(const nffi_host_response_t *response)
{
    call_t *call = response->owner;

    CHECK_IS(call->state, 0);
    CHECK_BYTES(response->data, response->size,
                bytes_of(call->label.call, 1), call->label.answer_size);

    if (call->label.way == 3) {
        CHECK_IS(response->flags, NFFI_HOST_ERROR);
        CHECK_IS(response->message_size, response->size / 2);

    } else {
        CHECK_IS(response->flags, 0);
        CHECK_IS(response->rc, call->label.way);
    }

    call->state = FINISHED;
}


static void
submit(pair_t *pair, call_t *call, uint32_t number, uint32_t *random_state)
{
    static unsigned char packet[sizeof(label_t) + MAX_SIZE];
    nffi_host_request_t request;

    call->state = 0;
    call->label = (label_t) { number, random_size(random_state),
                              random_size(random_state),
                              random_below(random_state, 6) };
    memcpy(packet, &call->label, sizeof(label_t));
    memcpy(packet + sizeof(label_t), bytes_of(number, 0), call->label.size);
    request = (nffi_host_request_t) {
        .data = packet, .size = sizeof(label_t) + call->label.size,
        .method = (const char *) bytes_of(number, 0),
        .method_size = number % 256, .deadline_ns = number
    };
    CHECK_IS(nffi_host_submit(pair->host, &request, call, &call->task),
             NFFI_OK);
}


static void
exchange(pair_t *pair, int total)
{
    int i, n, in_flight = 0, delivered = 0, cancelled = 0;
    uint32_t number = 0, random_state = 5;
    pthread_t threads[THREADS];
    call_t *calls = calloc((size_t) total, sizeof(call_t)), *call;
    nffi_host_response_t responses[8];

    for (i = 0; i < (int) sizeof(bytes); i++) {
        bytes[i] = (unsigned char) (i * 13 + i / 509);
    }

    queue = pair->queue;

    for (i = 0; i < THREADS; i++) {
        CHECK_IS(pthread_create(&threads[i], NULL, serve, NULL), 0);
    }

    while (delivered + cancelled < total) {
        for (i = 0; i < 20 && in_flight < MAX_IN_FLIGHT
                    && number < (uint32_t) total; i++)
        {
            submit(pair, &calls[number], number, &random_state);
            number++;
            in_flight++;

            call = &calls[number - 1
                          - random_below(&random_state,
                                         number < 32 ? number : 32)];

            if (call->state == 0 && random_below(&random_state, 10) == 0) {
                call->state = ABANDONED;
                nffi_host_cancel(pair->host, call->task);
                cancelled++;
            }
        }

        /* with none awaited, no response would end the sleep */
        n = pair_state(pair).awaited > 0 ? pair_collect(pair, responses, 8) : 0;

        for (i = 0; i < n; i++) {
            check_response(&responses[i]);
            nffi_host_release(pair->host, &responses[i]);
        }

        /* of the process: its pages go while others are in use */
        if (number % 64 == 0) {
            (void) nffi_host_trim(pair->host);
        }

        delivered += n;
        in_flight = (int) pair_state(pair).unanswered;
    }

    nffi_host_close(pair->host);

    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }

    CHECK_IS(nffi_host_collect(pair->host, responses, 8), 0);
    CHECK_IS(released, owned);
    CHECK(cancelled > total / 100);
    pair_check_idle(pair);
    free(calls);
    pair_close(pair);
}


static const nffi_host_options_t small_arenas = {
    .max_tasks = 256, .request_arena = 64 << 10, .response_arena = 64 << 10
};


static void
exchange_here(void)
{
    pair_t pair;

    pair_open(&pair, &small_arenas);
    exchange(&pair, CHECK_SCALE(200000));
}


static void
exchange_shared(void)
{
    pair_t pair;

    pair_open_shared(&pair, &small_arenas);
    exchange(&pair, CHECK_SCALE(60000));
}


/* Arenas that hold all, and whose pages come and go. */
static void
exchange_growing(void)
{
    pair_t pair;
    nffi_host_options_t growing = {
        .max_tasks = 256, .request_arena = 8 << 20, .response_arena = 8 << 20
    };

    pair_open_shared(&pair, &growing);
    exchange(&pair, CHECK_SCALE(60000));
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "a random load comes back whole, in the worker", exchange_here },
        { "a random load comes back whole, over shared memory",
          exchange_shared },
        { "a random load comes back whole while memory is freed",
          exchange_growing },
    };

    return CHECK_MAIN(argc, argv, cases);
}

/*
 * test_compat.c - libraries written for the three public generations of this
 * ABI: how they are handed the queue, and how they poll, read and respond.
 */

#include "pair.h"

/* As such a library declares them. */
void *ngx_http_lua_nonblocking_ffi_task_poll(void *tq);
char *ngx_http_lua_nonblocking_ffi_get_req(void *tsk, int *len);
void ngx_http_lua_nonblocking_ffi_respond(void *tsk, int rc, char *rsp,
    int rsp_len);
void *ngx_http_lua_ffi_task_poll(void *tq);
char *ngx_http_lua_ffi_get_req(void *tsk, int *len);
void ngx_http_lua_ffi_respond(void *tsk, int rc, char *rsp, int rsp_len);

typedef struct generation {
    void *(*poll)(void *tq);
    char *(*get_req)(void *tsk, int *len);
    void (*respond)(void *tsk, int rc, char *rsp, int rsp_len);
} generation_t;

static const generation_t generations[] = {
    { ngx_http_lua_nonblocking_ffi_task_poll,
      ngx_http_lua_nonblocking_ffi_get_req,
      ngx_http_lua_nonblocking_ffi_respond },
    { ngx_http_lua_ffi_task_poll, ngx_http_lua_ffi_get_req,
      ngx_http_lua_ffi_respond },
};

static int owners[1];


static void
delivered(pair_t *pair, int rc, const void *data, size_t size)
{
    nffi_host_response_t response = pair_response(pair);

    CHECK_IS(response.rc, rc);
    CHECK((response.data == NULL) == (data == NULL));
    CHECK_BYTES(response.data, response.size, data, size);
    nffi_host_release(pair->host, &response);
}


static void *
take(const generation_t *g, pair_t *pair, const void *data, size_t size)
{
    void *task;

    pair_submit(pair, data, size, owners);
    task = g->poll(nffi_host_public_queue(pair->host, (uint32_t) size, 0));
    CHECK(task != NULL);

    return task;
}


static void
answers(const generation_t *g)
{
    int len;
    void *task;
    char *request, *response;
    pair_t pair;

    pair_open(&pair, &(nffi_host_options_t) { 0 });

    task = take(g, &pair, "a\0b", 3);
    request = g->get_req(task, &len);
    CHECK_BYTES(request, len, "a\0b", 3);
    CHECK_IS(request[3], '\0');
    CHECK(g->get_req(task, NULL) == request);
    response = malloc(3);
    memcpy(response, "c\0d", 3);
    g->respond(task, 0, response, 3);
    delivered(&pair, 0, "c\0d", 3);

    /* an empty request: a string */
    task = take(g, &pair, "", 0);
    len = -1;
    request = g->get_req(task, &len);
    CHECK(request != NULL && *request == '\0');
    CHECK_IS(len, 0);
    g->respond(task, 0, strdup(request), 0);
    delivered(&pair, 0, "", 0);

    /* no request: NULL, and the length is 0 */
    task = take(g, &pair, NULL, 0);
    len = -1;
    CHECK(g->get_req(task, &len) == NULL);
    CHECK_IS(len, 0);
    g->respond(task, 0, NULL, 0);
    delivered(&pair, 0, NULL, 0);

    /* rsp_len 0: a string */
    task = take(g, &pair, "x", 1);
    g->respond(task, 0, strdup("a string"), 0);
    delivered(&pair, 0, "a string", 8);
    task = take(g, &pair, "x", 1);
    g->respond(task, 0, strdup(""), 0);
    delivered(&pair, 0, "", 0);

    task = take(g, &pair, "x", 1);
    g->respond(task, 42, strdup("why"), 3);
    delivered(&pair, 42, "why", 3);
    task = take(g, &pair, "x", 1);
    g->respond(task, -1, NULL, 7);
    delivered(&pair, -1, NULL, 0);

    pair_check_idle(&pair);
    nffi_host_close(pair.host);
    CHECK(g->poll(nffi_host_public_queue(pair.host, 0, 0)) == NULL);

    /* what a module in Python is handed */
    CHECK(g->poll(pair.queue) == NULL);
    pair_close(&pair);
}


/* As the host calls the entries of both: the second argument is the length for
   one, and the queue for the other. */
static int first_length;
static void *first_queue, *second_queue;


static int
init_2022_09(char *cfg, int cfg_len, void *tq)
{
    (void) cfg;
    first_length = cfg_len;
    first_queue = tq;

    return 0;
}


static int
init_2022_10(char *cfg, void *tq)
{
    (void) cfg;
    second_queue = tq;

    return 0;
}


static void
one_call_fits_both(void)
{
    size_t i;
    pair_t pair;
    void *queue, *endless, *task;
    typedef int (*init_t)(char *cfg, void *tq_and_length, void *tq);
    static int (*volatile first)(char *, int, void *) = init_2022_09;
    static int (*volatile second)(char *, void *) = init_2022_10;
    static const int lengths[] = { 0, 1, 77, 65536, 0x12345678, INT32_MAX };

    pair_open(&pair, &(nffi_host_options_t) { 0 });

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        queue = nffi_host_public_queue(pair.host, (uint32_t) lengths[i], 0);
        endless = nffi_host_public_queue(pair.host, (uint32_t) lengths[i], 1);
        CHECK(queue != NULL && endless != NULL && queue != endless);

        CHECK_IS(((init_t) (void (*)(void)) first)(NULL, queue, endless), 0);
        CHECK_IS(first_length, lengths[i]);
        pair_submit(&pair, "one", 3, owners);
        task = generations[0].poll(first_queue);
        generations[0].respond(task, 0, strdup("two"), 0);
        delivered(&pair, 0, "two", 3);

        CHECK_IS(((init_t) (void (*)(void)) second)(NULL, queue, endless), 0);
        pair_submit(&pair, "one", 3, owners);
        task = generations[0].poll(second_queue);
        generations[0].respond(task, 0, strdup("two"), 0);
        delivered(&pair, 0, "two", 3);
    }

    pair_check_idle(&pair);
    pair_close(&pair);
}


static atomic_int polls_ended;


static void *
poll_once(void *tq)
{
    void *task = ngx_http_lua_nonblocking_ffi_task_poll(tq);

    atomic_fetch_add(&polls_ended, 1);

    return task;
}


static void
first_never_ends(void)
{
    void *task;
    pair_t pair;
    pthread_t waits, ends;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    CHECK_IS(pthread_create(&waits, NULL, poll_once,
                            nffi_host_public_queue(pair.host, 5, 1)), 0);
    CHECK_IS(pthread_create(&ends, NULL, poll_once,
                            nffi_host_public_queue(pair.host, 5, 0)), 0);
    usleep(50000);
    nffi_host_close(pair.host);
    CHECK_IS(pthread_join(ends, &task), 0);
    CHECK(task == NULL);
    usleep(100000);
    CHECK_IS(atomic_load(&polls_ended), 1);

    pthread_cancel(waits);
    pthread_join(waits, NULL);
    CHECK_IS(atomic_load(&polls_ended), 1);
    pair_close(&pair);
}


static void
answers_2022(void)
{
    answers(&generations[0]);
}


static void
answers_later(void)
{
    answers(&generations[1]);
}


static int
end_host(pair_t *pair)
{
    int rc;

    do {
        rc = nffi_host_end(pair->host);
    } while (rc == NFFI_WOULD_BLOCK);

    return rc;
}


/* An old queue stays refused when the next one has its structure. */
static void
old_is_refused(void)
{
    int i;
    void *old, *task;
    pair_t pair, next;

    pair_open(&pair, &(nffi_host_options_t) { 0 });
    old = nffi_host_public_queue(pair.host, 5, 0);
    nffi_host_close(pair.host);
    CHECK(ngx_http_lua_ffi_task_poll(old) == NULL);
    CHECK_IS(end_host(&pair), 1);
    close(pair.wake_fd);
    CHECK(ngx_http_lua_ffi_task_poll(old) == NULL);

    for (i = 0; i < 3; i++) {
        pair_open(&next, &(nffi_host_options_t) { 0 });
        task = take(&generations[1], &next, "x", 1);
        generations[1].respond(task, 0, strdup("y"), 0);
        delivered(&next, 0, "y", 1);
        pair_submit(&next, "x", 1, owners);
        CHECK(ngx_http_lua_ffi_task_poll(old) == NULL);
        CHECK_IS(pair_state(&next).queued, 1);
        pair_close(&next);
    }
}


/* A queue is kept by a poll that never ends, and by no other. */
static void
endless_keeps(void)
{
    int endless;
    void *task;
    pair_t pair;

    for (endless = 0; endless < 2; endless++) {
        pair_open(&pair, &(nffi_host_options_t) { 0 });
        pair_submit(&pair, "x", 1, owners);
        task = ngx_http_lua_nonblocking_ffi_task_poll(
                   nffi_host_public_queue(pair.host, 0, endless));
        ngx_http_lua_nonblocking_ffi_respond(task, 0, strdup("y"), 0);
        delivered(&pair, 0, "y", 1);
        nffi_host_close(pair.host);
        CHECK_IS(end_host(&pair), !endless);

        if (endless) {
            pair_close(&pair);

        } else {
            close(pair.wake_fd);
        }
    }
}


/* The same pointer twice, before and after the host has freed it: nothing is
   read from it, and nothing is freed twice. */
static void
survives_double(void)
{
    int i;
    void *task;
    char *response;
    pair_t pair;

    for (i = 0; i < 2; i++) {
        pair_open(&pair, &(nffi_host_options_t) { 0 });
        task = take(&generations[i], &pair, "x", 1);
        response = strdup("once");
        generations[i].respond(task, 0, response, 0);
        generations[i].respond(task, 0, response, 0);
        generations[i].respond(task, 0, response, 4);
        CHECK_IS(pair_state(&pair).refused, 2);
        delivered(&pair, 0, "once", 4);
        generations[i].respond(task, 0, response, 0);
        generations[i].respond(task, 1, response, 4);
        generations[i].respond(task, 1, NULL, 0);
        CHECK_IS(pair_state(&pair).refused, 5);
        pair_check_idle(&pair);
        pair_close(&pair);
    }
}


static void
survives_invented(void)
{
    int i, len;
    char byte[1];
    void *invented[] = { NULL, (void *) 1, byte, (void *) UINTPTR_MAX };

    for (i = 0; i < 4; i++) {
        len = -1;
        CHECK(generations[0].get_req(invented[i], &len) == NULL);
        CHECK_IS(len, 0);
        CHECK(generations[1].get_req(invented[i], NULL) == NULL);
        generations[0].respond(invented[i], 0, byte, 0);
        generations[1].respond(invented[i], 0, byte, 1);
    }

    CHECK(generations[0].poll(NULL) == NULL);
    CHECK(generations[1].poll(NULL) == NULL);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "a library of 2022 takes and answers", answers_2022 },
        { "a library of the later generation takes and answers",
          answers_later },
        { "one call fits the entries of 2022-09 and 2022-10",
          one_call_fits_both },
        { "the poll of a library of 2022-09 never returns NULL",
          first_never_ends },
        { "an old queue is refused", old_is_refused },
        { "a library of 2022-09 keeps its queue", endless_keeps },
        { "answering twice with the same pointer is survived",
          survives_double },
        { "a pointer that is no task is survived", survives_invented },
    };

    return CHECK_MAIN(argc, argv, cases);
}

/*
 * test_compat.c - libraries written for the two public generations of this
 * ABI: how they poll, read and respond.
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
    CHECK_BYTES(response.data, response.size, data, size);
    nffi_host_release(pair->host, &response);
}


static void *
take(const generation_t *g, pair_t *pair, const void *data, size_t size)
{
    void *task;

    pair_submit(pair, data, size, owners);
    task = g->poll(pair->queue);
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
    CHECK(g->get_req(task, NULL) == request);
    response = malloc(3);
    memcpy(response, "c\0d", 3);
    g->respond(task, 0, response, 3);
    delivered(&pair, 0, "c\0d", 3);

    /* no request: NULL, and the length is told */
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
    delivered(&pair, 0, NULL, 0);

    task = take(g, &pair, "x", 1);
    g->respond(task, 42, strdup("why"), 3);
    delivered(&pair, 42, "why", 3);
    task = take(g, &pair, "x", 1);
    g->respond(task, -1, NULL, 7);
    delivered(&pair, -1, NULL, 0);

    pair_check_idle(&pair);
    nffi_host_close(pair.host);
    CHECK(g->poll(pair.queue) == NULL);
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
        { "a library of 2022-09 takes and answers", answers_2022 },
        { "a library of the later generation takes and answers",
          answers_later },
        { "answering twice with the same pointer is survived",
          survives_double },
        { "a pointer that is no task is survived", survives_invented },
    };

    return CHECK_MAIN(argc, argv, cases);
}

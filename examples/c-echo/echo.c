/*
 * echo.c - a runtime in C that responds to each request with a prefix and the
 * bytes of the request. It uses the 2022-09 generation of the ABI, the oldest
 * public one, and needs no header and no library to build: the dynamic linker
 * finds its three functions in nginx when the library is loaded.
 *
 * The configuration is text, `name=value` separated by blanks:
 *
 *     prefix=TEXT   put before each response (nothing)
 *     delay_ms=N    how long each response takes (0)
 *     threads=N     the number of concurrent responses (1)
 */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* nginx's side of the ABI; callable from any thread but nginx's own */
extern void *ngx_http_lua_nonblocking_ffi_task_poll(void *tq);
extern char *ngx_http_lua_nonblocking_ffi_get_req(void *task, int *len);
extern void ngx_http_lua_nonblocking_ffi_respond(void *task, int rc,
    char *rsp, int rsp_len);

/* our side: called once for each configuration, in nginx's own thread */
int lib_nonblocking_ffi_init(char *cfg, int cfg_len, void *tq);

#define MAX_THREADS 64

typedef struct {
    void *tasks;
    char *prefix;
    size_t prefix_size;
    long delay_ms;
    long threads;
} echo_t;


/* -1 when `text` is not a number from 0 to `most` */
static long
number(const char *text, long most)
{
    char *end;
    long n = strtol(text, &end, 10);

    return *text != '\0' && *end == '\0' && n >= 0 && n <= most ? n : -1;
}


/* The settings point into `text`, which is changed. 0, or -1 on a mistake. */
static int
read_settings(echo_t *echo, char *text)
{
    char *word, *value, *rest;

    for (word = strtok_r(text, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest))
    {
        value = strchr(word, '=');
        if (value == NULL) {
            return -1;
        }

        *value++ = '\0';

        if (strcmp(word, "prefix") == 0) {
            echo->prefix = value;
            echo->prefix_size = strlen(value);

        } else if (strcmp(word, "delay_ms") == 0) {
            echo->delay_ms = number(value, 60000);

        } else if (strcmp(word, "threads") == 0) {
            echo->threads = number(value, MAX_THREADS);

        } else {
            return -1;
        }
    }

    return echo->delay_ms < 0 || echo->threads < 1 ? -1 : 0;
}


static void
respond(const echo_t *echo, void *task)
{
    int size;
    size_t total;
    char *response;
    struct timespec pause;
    const char *request = ngx_http_lua_nonblocking_ffi_get_req(task, &size);

    pause.tv_sec = echo->delay_ms / 1000;
    pause.tv_nsec = echo->delay_ms % 1000 * 1000000L;
    (void) nanosleep(&pause, NULL);

    total = echo->prefix_size + (size_t) size;

    if (total == 0) {
        ngx_http_lua_nonblocking_ffi_respond(task, 0, NULL, 0);
        return;
    }

    /* nginx frees it */
    response = malloc(total);
    if (response == NULL) {
        /* any rc but 0 arrives in Lua as false, rc, message */
        ngx_http_lua_nonblocking_ffi_respond(task, 1, strdup("no memory"), 0);
        return;
    }

    /* an empty request has no bytes to point to */
    memcpy(response, echo->prefix, echo->prefix_size);
    if (size > 0) {
        memcpy(response + echo->prefix_size, request, (size_t) size);
    }

    ngx_http_lua_nonblocking_ffi_respond(task, 0, response, (int) total);
}


static void *
serve(void *data)
{
    void *task;
    const echo_t *echo = data;

    /* waits for a task; NULL: the runtime was unloaded */
    while ((task = ngx_http_lua_nonblocking_ffi_task_poll(echo->tasks))
           != NULL)
    {
        respond(echo, task);
    }

    return NULL;
}


/* Starts the threads and returns immediately, since nginx waits for it. The
   library owns `cfg`. */
int
lib_nonblocking_ffi_init(char *cfg, int cfg_len, void *tq)
{
    long i;
    char *text;
    echo_t *echo;
    pthread_t thread;

    echo = calloc(1, sizeof(*echo));
    text = strndup(cfg, (size_t) cfg_len);
    free(cfg);

    if (echo == NULL || text == NULL) {
        goto failed;
    }

    echo->tasks = tq;
    echo->prefix = "";
    echo->threads = 1;

    if (read_settings(echo, text) != 0) {
        goto failed;
    }

    for (i = 0; i < echo->threads; i++) {
        if (pthread_create(&thread, NULL, serve, echo) != 0) {
            /* the running threads know `echo` and serve alone */
            if (i > 0) {
                return 0;
            }

            goto failed;
        }

        pthread_detach(thread);
    }

    return 0;

failed:

    free(text);
    free(echo);

    return -1;
}

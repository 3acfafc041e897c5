/*
 * echo_ffi.c - returns each request. ngx.load_ffi() of lua-resty-ffi and of
 * nffi can load it.
 */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

void *ngx_http_lua_ffi_task_poll(void *queue);
char *ngx_http_lua_ffi_get_req(void *task, int *size);
void ngx_http_lua_ffi_respond(void *task, int status, char *response, int size);
int libffi_init(char *config, void *queue);


static void *
serve(void *queue)
{
    int    size;
    char  *request, *response;
    void  *task;

    while ((task = ngx_http_lua_ffi_task_poll(queue)) != NULL) {
        request = ngx_http_lua_ffi_get_req(task, &size);
        response = malloc((size_t) size + 1);

        if (request == NULL || response == NULL) {
            free(response);
            ngx_http_lua_ffi_respond(task, 1, NULL, 0);
            continue;
        }

        memcpy(response, request, (size_t) size);
        ngx_http_lua_ffi_respond(task, 0, response, size);
    }

    return NULL;
}


int
libffi_init(char *config, void *queue)
{
    pthread_t  thread;

    (void) config;

    if (pthread_create(&thread, NULL, serve, queue) != 0) {
        return 1;
    }

    return pthread_detach(thread);
}

/*
 * order.c - the start request of a worker, copied out of its memfd.
 */

#include "supervisor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>


static char *
read_all(int fd, size_t size)
{
    char *bytes = malloc(size + 1);
    size_t used = 0;
    ssize_t n;

    while (bytes != NULL && used < size) {
        n = pread(fd, bytes + used, size - used, (off_t) used);

        if (n <= 0) {
            free(bytes);
            return NULL;
        }

        used += (size_t) n;
    }

    if (bytes != NULL) {
        bytes[size] = '\0';
    }

    return bytes;
}


/* The next `count` strings; NULL: there are fewer. */
static char **
take_strings(char **at, const char *end, uint32_t count)
{
    char **strings;
    uint32_t i;

    if (count > (size_t) (end - *at)) {
        return NULL;
    }

    strings = calloc((size_t) count + 1, sizeof(char *));

    for (i = 0; strings != NULL && i < count; i++) {
        if (*at >= end) {
            return NULL;
        }

        strings[i] = *at;
        *at += strlen(*at) + 1;
    }

    return strings;
}


static const char *
take_string(char **at, const char *end)
{
    char *string = *at;

    if (string >= end) {
        return NULL;
    }

    *at += strlen(string) + 1;

    return string;
}


bool
order_read(order_t *order, int fd, size_t size)
{
    char *bytes, *at, *end;

    memset(order, 0, sizeof(*order));
    bytes = size < sizeof(order->head) ? NULL : read_all(fd, size);

    if (bytes == NULL) {
        return false;
    }

    memcpy(&order->head, bytes, sizeof(order->head));
    at = bytes + sizeof(order->head);
    end = bytes + size;

    order->programs = take_strings(&at, end, order->head.programs);
    order->argv = take_strings(&at, end, order->head.arguments);
    order->envp = take_strings(&at, end, order->head.variables);

    if (order->programs == NULL || order->argv == NULL || order->envp == NULL
        || order->head.programs == 0
        || order->head.limits_count > NFFI__ORDER_LIMITS)
    {
        return false;
    }

    if (order->head.fields & NFFI__ORDER_DIRECTORY) {
        order->directory = take_string(&at, end);
    }

    if (order->head.fields & NFFI__ORDER_USER) {
        order->user = take_string(&at, end);
    }

    return !(order->head.fields & NFFI__ORDER_DIRECTORY) == !order->directory
           && !(order->head.fields & NFFI__ORDER_USER) == !order->user;
}

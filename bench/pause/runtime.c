/* runtime.c - a process that does as little as possible. */

#include <nffi.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
main(void)
{
    int n, length;
    char text[32];
    nffi_queue_t *queue;
    nffi_request_t request;

    if (nffi_attach(&queue) != NFFI_OK || nffi_attach_ready(queue) != NFFI_OK) {
        return 1;
    }

    length = snprintf(text, sizeof(text), "%d", (int) getpid());

    while ((n = nffi_queue_poll(queue, &request, 1, -1)) == 1) {
        (void) nffi_respond(request.task, 0, text, (size_t) length);
    }

    return 0;
}

/*
 * natives.h - the memory that Java and C share: a batch of tasks, and a batch
 * of responses. c-src/sdk/java/nffi/Batch.java and Responses.java know the
 * offsets.
 */

#ifndef NFFI_JAVA_NATIVES_H
#define NFFI_JAVA_NATIVES_H

#include <nffi.h>

#include <jni.h>

#define NFFI_JAVA_TASKS 64
#define NFFI_JAVA_NOTES 64

/* bytes of a request that travel with its batch; larger ones are fetched */
#define NFFI_JAVA_SMALL 4096
#define NFFI_JAVA_METHOD 255

typedef struct nffi_java_task {
    uint64_t task;
    uint64_t deadline_ns;
    uint64_t size;
    uint32_t offset;          /* of the method, then the bytes if small */
    uint32_t method_size;
    uint32_t flags;
    uint32_t reserved;
} nffi_java_task_t;

typedef struct nffi_java_batch {
    uint32_t cancelled_count;
    uint32_t writable_count;
    nffi_task_t cancelled[NFFI_JAVA_NOTES];
    nffi_task_t writable[NFFI_JAVA_NOTES];
    nffi_java_task_t tasks[NFFI_JAVA_TASKS];
    unsigned char bytes[NFFI_JAVA_TASKS
                        * (NFFI_JAVA_SMALL + NFFI_JAVA_METHOD)];
} nffi_java_batch_t;

#define NFFI_JAVA_FAILED 1u
#define NFFI_JAVA_NOTHING 2u          /* NULL: no response */

typedef struct nffi_java_response {
    uint64_t task;
    uint32_t offset;          /* of the bytes, then the detail */
    uint32_t size;
    uint32_t detail_size;
    int32_t rc;
    uint32_t flags;
    int32_t result;           /* out */
} nffi_java_response_t;

/* Fails the calls of a queue with a message until it is closed, in a separate
   thread. The message is copied. thread: any; blocks: no */
__attribute__((visibility("hidden")))
void nffi_java_refuse(nffi_queue_t *queue, const char *message, size_t size);

#endif

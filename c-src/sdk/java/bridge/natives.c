/*
 * natives.c - the crossings from Java to libnffi: requests, responses, streams,
 * log, and the process's side of its queue.
 *
 * thread: any of the virtual machine; blocks: no, but where nffi.h says so.
 * What Java hands over stays Java's: it is copied before a call returns.
 */

#include "natives.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* what is copied on the stack instead of the heap */
#define ON_STACK 8192

_Static_assert(sizeof(nffi_java_response_t) == 32, "Responses.RESPONSE_SIZE");


/* the bytes of an array, in `room` or malloc'ed; NULL: no memory */
static void *
bytes_of(JNIEnv *env, jbyteArray array, jint from, jint size, void *room)
{
    void *bytes = size <= ON_STACK ? room : malloc((size_t) size);

    if (bytes != NULL && size > 0) {
        (*env)->GetByteArrayRegion(env, array, from, size, bytes);
    }

    return bytes;
}


static void
release_bytes(void *bytes, const void *room)
{
    if (bytes != room) {
        free(bytes);
    }
}


static jint
size_of(JNIEnv *env, jbyteArray array)
{
    return array == NULL ? 0 : (*env)->GetArrayLength(env, array);
}


/* cleared: a batch that nothing has filled has no notes */
JNIEXPORT jobject JNICALL
Java_nffi_Native_allocateBytes(JNIEnv *env, jclass type, jint size)
{
    void *memory = calloc(1, (size_t) size);
    jobject buffer = NULL;

    (void) type;

    if (memory != NULL) {
        buffer = (*env)->NewDirectByteBuffer(env, memory, size);
    }

    if (buffer == NULL) {
        free(memory);
    }

    return buffer;
}


JNIEXPORT void JNICALL
Java_nffi_Native_free(JNIEnv *env, jclass type, jobject buffer)
{
    (void) type;
    free((*env)->GetDirectBufferAddress(env, buffer));
}


JNIEXPORT jbyteArray JNICALL
Java_nffi_Native_requestBytes(JNIEnv *env, jclass type, jlong task)
{
    jbyteArray array;
    nffi_request_t request;

    (void) type;

    if (nffi_task_request((nffi_task_t) task, &request) != NFFI_OK) {
        return NULL;
    }

    array = (*env)->NewByteArray(env, (jsize) request.size);

    if (array != NULL && request.size > 0) {
        (*env)->SetByteArrayRegion(env, array, 0, (jsize) request.size,
                                   request.data);
    }

    return array;
}


JNIEXPORT jobject JNICALL
Java_nffi_Native_requestView(JNIEnv *env, jclass type, jlong task)
{
    nffi_request_t request;

    (void) type;

    if (nffi_task_request((nffi_task_t) task, &request) != NFFI_OK) {
        return NULL;
    }

    return (*env)->NewDirectByteBuffer(env, (void *) request.data,
                                       (jlong) request.size);
}


JNIEXPORT jint JNICALL
Java_nffi_Native_respond(JNIEnv *env, jclass type, jobject memory, jint count)
{
    int given;
    jint i;
    nffi_response_t responses[NFFI_JAVA_TASKS];
    unsigned char *base = (*env)->GetDirectBufferAddress(env, memory);
    nffi_java_response_t *packed = (nffi_java_response_t *) (void *) base;

    (void) type;
    memset(responses, 0, sizeof(nffi_response_t) * (size_t) count);

    for (i = 0; i < count; i++) {
        responses[i].task = packed[i].task;
        responses[i].data = packed[i].flags & NFFI_JAVA_NOTHING
                            ? NULL : base + packed[i].offset;
        responses[i].size = packed[i].size;
        responses[i].rc = packed[i].rc;

        if (packed[i].flags & NFFI_JAVA_FAILED) {
            responses[i].flags = NFFI_RESPONSE_ERROR;
            responses[i].detail = base + packed[i].offset + packed[i].size;
            responses[i].detail_size = packed[i].detail_size;
        }
    }

    given = nffi_respond_batch(responses, (size_t) count);

    for (i = 0; i < count; i++) {
        packed[i].result = responses[i].result;
    }

    return given;
}


JNIEXPORT jint JNICALL
Java_nffi_Native_respondBytes(JNIEnv *env, jclass type, jlong task, jint rc,
    jbyteArray data)
{
    int result;
    void *buffer;
    jint size = size_of(env, data);
    unsigned char room[ON_STACK];

    (void) type;

    if (data == NULL) {
        return nffi_respond((nffi_task_t) task, rc, NULL, 0);
    }

    if (size <= ON_STACK) {
        (void) bytes_of(env, data, 0, size, room);
        return nffi_respond((nffi_task_t) task, rc, room, (size_t) size);
    }

    buffer = nffi_response_alloc((nffi_task_t) task, (size_t) size);
    if (buffer == NULL) {
        return nffi_task_cancelled((nffi_task_t) task) < 0 ? NFFI_STALE
                                                           : NFFI_NO_MEMORY;
    }

    (*env)->GetByteArrayRegion(env, data, 0, size, buffer);
    result = nffi_respond_buffer((nffi_task_t) task, rc, buffer,
                                 (size_t) size);
    if (result != NFFI_OK) {
        nffi_response_discard((nffi_task_t) task, buffer);
    }

    return result;
}


JNIEXPORT jint JNICALL
Java_nffi_Native_respondDirect(JNIEnv *env, jclass type, jlong task, jint rc,
    jobject data, jint from, jint size)
{
    unsigned char *bytes = (*env)->GetDirectBufferAddress(env, data);

    (void) type;

    return nffi_respond((nffi_task_t) task, rc, bytes + from, (size_t) size);
}


JNIEXPORT jint JNICALL
Java_nffi_Native_respondError(JNIEnv *env, jclass type, jlong task,
    jbyteArray message, jbyteArray detail)
{
    int result;
    jint size = size_of(env, message), detail_size = size_of(env, detail);
    unsigned char room[ON_STACK], detail_room[ON_STACK];
    void *text = bytes_of(env, message, 0, size, room);
    void *more = bytes_of(env, detail, 0, detail_size, detail_room);

    (void) type;

    if (text == NULL) {
        size = 0;
    }

    if (more == NULL) {
        detail_size = 0;
    }

    result = nffi_respond_error((nffi_task_t) task, text, (size_t) size,
                                detail_size > 0 ? more : NULL,
                                (size_t) detail_size);
    release_bytes(text, room);
    release_bytes(more, detail_room);

    return result;
}


JNIEXPORT jboolean JNICALL
Java_nffi_Native_isCancelled(JNIEnv *env, jclass type, jlong task)
{
    (void) env;
    (void) type;

    return nffi_task_cancelled((nffi_task_t) task) == 1;
}


JNIEXPORT jint JNICALL
Java_nffi_Native_streamWrite(JNIEnv *env, jclass type, jlong task,
    jbyteArray chunk, jint from, jint size)
{
    int result;
    unsigned char room[ON_STACK];
    void *bytes;

    (void) type;
    room[0] = 0;
    bytes = bytes_of(env, chunk, from, size, room);

    if (bytes == NULL) {
        return NFFI_NO_MEMORY;
    }

    result = nffi_stream_write((nffi_task_t) task, bytes, (size_t) size);
    release_bytes(bytes, room);

    return result;
}


JNIEXPORT jint JNICALL
Java_nffi_Native_streamWriteDirect(JNIEnv *env, jclass type, jlong task,
    jobject chunk, jint from, jint size)
{
    unsigned char *bytes = (*env)->GetDirectBufferAddress(env, chunk);

    (void) type;

    return nffi_stream_write((nffi_task_t) task, bytes + from, (size_t) size);
}


JNIEXPORT jint JNICALL
Java_nffi_Native_streamEnd(JNIEnv *env, jclass type, jlong task)
{
    (void) env;
    (void) type;

    return nffi_stream_end((nffi_task_t) task);
}


/* Copies a line for the log and returns its size. nffi_log() keeps less than
   ON_STACK bytes. */
static size_t
line_of(JNIEnv *env, jbyteArray text, unsigned char *line)
{
    jint size = size_of(env, text);

    if (size > ON_STACK) {
        size = ON_STACK;
    }

    (void) bytes_of(env, text, 0, size, line);

    return (size_t) size;
}


JNIEXPORT jint JNICALL
Java_nffi_Native_queueLog(JNIEnv *env, jclass type, jlong queue, jint level,
    jbyteArray text)
{
    unsigned char line[ON_STACK];
    size_t size = line_of(env, text, line);

    (void) type;

    return nffi_queue_log((nffi_queue_t *) (uintptr_t) queue, level, line,
                          size);
}


JNIEXPORT jint JNICALL
Java_nffi_Native_log(JNIEnv *env, jclass type, jlong task, jint level,
    jbyteArray text)
{
    unsigned char line[ON_STACK];
    size_t size = line_of(env, text, line);

    (void) type;

    return nffi_log((nffi_task_t) task, level, line, size);
}


JNIEXPORT jstring JNICALL
Java_nffi_Native_errorText(JNIEnv *env, jclass type, jint code)
{
    (void) type;

    return (*env)->NewStringUTF(env, nffi_error_text(code));
}


static void
do_nothing(int signo)
{
    (void) signo;
}


/* They are meant for nginx, which ends us; with -Xrs the virtual machine leaves
   them alone. Not ignored: the programs that Java starts would inherit that. */
static void
stay_alive(void)
{
    size_t i;
    struct sigaction action;
    static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

    memset(&action, 0, sizeof(action));
    action.sa_handler = do_nothing;
    action.sa_flags = SA_RESTART;

    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        (void) sigaction(signals[i], &action, NULL);
    }
}


JNIEXPORT jlong JNICALL
Java_nffi_Native_attach(JNIEnv *env, jclass type)
{
    nffi_queue_t *queue;
    int result = nffi_attach(&queue);

    (void) env;
    (void) type;

    if (result == NFFI_OK) {
        stay_alive();
    }

    return result == NFFI_OK ? (jlong) (uintptr_t) queue : result;
}


JNIEXPORT jbyteArray JNICALL
Java_nffi_Native_config(JNIEnv *env, jclass type, jlong queue)
{
    size_t size;
    jbyteArray array;
    const void *bytes = nffi_queue_config((nffi_queue_t *) (uintptr_t) queue,
                                          &size);

    (void) type;

    if (bytes == NULL || size > INT32_MAX) {
        return NULL;
    }

    array = (*env)->NewByteArray(env, (jsize) size);

    if (array != NULL) {
        (*env)->SetByteArrayRegion(env, array, 0, (jsize) size, bytes);
    }

    return array;
}


JNIEXPORT jint JNICALL
Java_nffi_Native_attachReady(JNIEnv *env, jclass type, jlong queue)
{
    (void) env;
    (void) type;

    return nffi_attach_ready((nffi_queue_t *) (uintptr_t) queue);
}


JNIEXPORT jint JNICALL
Java_nffi_Native_attachFailed(JNIEnv *env, jclass type, jlong queue,
    jbyteArray message)
{
    unsigned char room[ON_STACK];
    jint size = size_of(env, message);

    (void) type;

    if (size > ON_STACK) {
        size = ON_STACK;
    }

    (void) bytes_of(env, message, 0, size, room);

    return nffi_attach_failed((nffi_queue_t *) (uintptr_t) queue, room,
                              (size_t) size);
}


JNIEXPORT void JNICALL
Java_nffi_Native_refuse(JNIEnv *env, jclass type, jlong queue,
    jbyteArray message)
{
    char room[ON_STACK];
    jint size = size_of(env, message);

    (void) type;

    if (size > ON_STACK) {
        size = ON_STACK;
    }

    (void) bytes_of(env, message, 0, size, room);
    nffi_java_refuse((nffi_queue_t *) (uintptr_t) queue, room, (size_t) size);
}

/*
 * testhost.c - the crossings from Java's unit tests to libnffi_testhost. Not
 * for use in a worker. thread: any; blocks: as nffi_testhost.h says.
 */

#include <nffi_testhost.h>

#include <jni.h>

#include <stdlib.h>

#define HOST(pointer) ((nffi_testhost_t *) (uintptr_t) (pointer))
#define CALL(pointer) ((nffi_testhost_call_t *) (uintptr_t) (pointer))


static jbyteArray
new_bytes(JNIEnv *env, const void *data, size_t size)
{
    jbyteArray array = (*env)->NewByteArray(env, (jsize) size);

    if (array != NULL && size > 0) {
        (*env)->SetByteArrayRegion(env, array, 0, (jsize) size, data);
    }

    return array;
}


JNIEXPORT jlong JNICALL
Java_nffi_testing_HostNatives_create(JNIEnv *env, jclass type, jint max_queue)
{
    nffi_testhost_t *host;
    int rc = nffi_testhost_create(&host, (uint32_t) max_queue);

    (void) env;
    (void) type;

    return rc == NFFI_OK ? (jlong) (uintptr_t) host : rc;
}


JNIEXPORT jlong JNICALL
Java_nffi_testing_HostNatives_queue(JNIEnv *env, jclass type, jlong host)
{
    (void) env;
    (void) type;

    return (jlong) (uintptr_t) nffi_testhost_queue(HOST(host));
}


JNIEXPORT void JNICALL
Java_nffi_testing_HostNatives_close(JNIEnv *env, jclass type, jlong host)
{
    (void) env;
    (void) type;

    nffi_testhost_close(HOST(host));
}


JNIEXPORT jint JNICALL
Java_nffi_testing_HostNatives_unanswered(JNIEnv *env, jclass type, jlong host)
{
    (void) env;
    (void) type;

    return (jint) nffi_testhost_unanswered(HOST(host));
}


/* the bytes are copied by the call */
JNIEXPORT jlong JNICALL
Java_nffi_testing_HostNatives_begin(JNIEnv *env, jclass type, jlong host,
    jbyteArray method, jbyteArray data, jint timeout_ms, jint window)
{
    int rc;
    nffi_testhost_call_t *call;
    jsize size = data ? (*env)->GetArrayLength(env, data) : 0;
    jsize method_size = (*env)->GetArrayLength(env, method);
    jbyte *name = (*env)->GetByteArrayElements(env, method, NULL);
    jbyte *bytes = data ? (*env)->GetByteArrayElements(env, data, NULL) : NULL;

    (void) type;

    if (window > 0) {
        rc = nffi_testhost_stream(HOST(host), (const char *) name,
                                  (size_t) method_size, bytes, (size_t) size,
                                  (uint32_t) timeout_ms, (uint32_t) window,
                                  &call);

    } else {
        rc = nffi_testhost_call(HOST(host), (const char *) name,
                                (size_t) method_size, bytes, (size_t) size,
                                (uint32_t) timeout_ms, &call);
    }

    (*env)->ReleaseByteArrayElements(env, method, name, JNI_ABORT);

    if (bytes) {
        (*env)->ReleaseByteArrayElements(env, data, bytes, JNI_ABORT);
    }

    return rc == NFFI_OK ? (jlong) (uintptr_t) call : rc;
}


JNIEXPORT jbyteArray JNICALL
Java_nffi_testing_HostNatives_read(JNIEnv *env, jclass type, jlong call)
{
    size_t size;
    const void *data;

    (void) type;

    if (nffi_testhost_read(CALL(call), &data, &size) == 0) {
        return NULL;
    }

    return new_bytes(env, data, size);
}


JNIEXPORT jbyteArray JNICALL
Java_nffi_testing_HostNatives_await(JNIEnv *env, jclass type, jlong call,
    jintArray end, jobjectArray detail)
{
    jint how[2];
    nffi_testhost_response_t response;

    (void) type;

    nffi_testhost_wait(CALL(call), &response);
    how[0] = (jint) response.end;
    how[1] = response.rc;
    (*env)->SetIntArrayRegion(env, end, 0, 2, how);
    (*env)->SetObjectArrayElement(env, detail, 0,
                                  new_bytes(env, response.detail,
                                            response.detail_size));

    return new_bytes(env, response.data, response.size);
}


JNIEXPORT void JNICALL
Java_nffi_testing_HostNatives_cancel(JNIEnv *env, jclass type, jlong call)
{
    (void) env;
    (void) type;

    nffi_testhost_cancel(CALL(call));
}


JNIEXPORT void JNICALL
Java_nffi_testing_HostNatives_free(JNIEnv *env, jclass type, jlong call)
{
    (void) env;
    (void) type;

    nffi_testhost_free(CALL(call));
}


JNIEXPORT jstring JNICALL
Java_nffi_testing_HostNatives_errorText(JNIEnv *env, jclass type, jint code)
{
    (void) type;

    return (*env)->NewStringUTF(env, nffi_error_text(code));
}

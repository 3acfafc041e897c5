/*
 * bridge.c - hosts Java in the worker: the entry that nginx finds in the
 * library.
 *
 * nffi_runtime_start runs in the event loop and returns immediately. A separate
 * thread then makes the virtual machine, or waits until another thread has made
 * it, and starts the runtime in Java. The virtual machine is made once and
 * lives as long as the worker.
 */

#include "jvm.h"
#include "natives.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STACK_SIZE (4 * 1024 * 1024)
#define REFUSE_STACK_SIZE (128 * 1024)
#define REFUSE_BATCH 64

NFFI_RUNTIME_ABI;

NFFI_API int nffi_runtime_start(nffi_queue_t *queue, const char *config,
    size_t config_size, char *error, size_t error_size);

enum state { NONE, MAKING, READY, FAILED };

/* All of it requires the mutex. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum state state;
    nffi_java_settings_t settings;
    nffi_java_dispositions_t dispositions;
    char jvm_file[4096];
    char own_file[4096];
    char reason[NFFI_JAVA_REASON + 64];
    JavaVM *vm;
    jclass bridge;            /* global references */
    jmethodID start;
} machine = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .changed = PTHREAD_COND_INITIALIZER,
};

/* A runtime that is being started; the thread owns it. */
typedef struct starting {
    nffi_queue_t *queue;
    int makes;                /* the virtual machine, too */
    size_t size;
    char config[];
} starting_t;

typedef struct refusing {
    nffi_queue_t *queue;
    size_t size;
    char message[];
} refusing_t;


static int
start_thread(void *(*run)(void *), void *data, size_t stack_size)
{
    int rc;
    pthread_t thread;
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, stack_size);
    rc = pthread_create(&thread, &attributes, run, data);
    pthread_attr_destroy(&attributes);

    return rc;
}


/* thread: its own; owns data */
static void *
refuse_run(void *data)
{
    int i, n;
    refusing_t *refusing = data;
    nffi_request_t requests[REFUSE_BATCH];

    while ((n = nffi_queue_poll(refusing->queue, requests, REFUSE_BATCH, -1))
           >= 0)
    {
        for (i = 0; i < n; i++) {
            (void) nffi_respond_error(requests[i].task, refusing->message,
                                      refusing->size, NULL, 0);
        }
    }

    free(refusing);

    return NULL;
}


void
nffi_java_refuse(nffi_queue_t *queue, const char *message, size_t size)
{
    refusing_t *refusing = malloc(sizeof(refusing_t) + size);

    if (refusing == NULL) {
        return;
    }

    refusing->queue = queue;
    refusing->size = size;
    memcpy(refusing->message, message, size);

    if (start_thread(refuse_run, refusing, REFUSE_STACK_SIZE) != 0) {
        free(refusing);
    }
}


/* What Java has thrown, as text; cleared. */
static void
take_exception(JNIEnv *env, char *text, size_t size)
{
    jclass type;
    jstring string = NULL;
    jmethodID to_string;
    const char *chars = NULL;
    jthrowable thrown = (*env)->ExceptionOccurred(env);

    (*env)->ExceptionClear(env);
    (void) snprintf(text, size, "Java has thrown something");

    if (thrown == NULL) {
        return;
    }

    type = (*env)->GetObjectClass(env, thrown);
    to_string = (*env)->GetMethodID(env, type, "toString",
                                    "()Ljava/lang/String;");

    if (to_string) {
        string = (*env)->CallObjectMethod(env, thrown, to_string);
    }

    if (string && !(*env)->ExceptionCheck(env)) {
        chars = (*env)->GetStringUTFChars(env, string, NULL);
    }

    if (chars) {
        (void) snprintf(text, size, "%s", chars);
        (*env)->ReleaseStringUTFChars(env, string, chars);
    }

    (*env)->ExceptionClear(env);
}


/* Finds and installs the class that starts runtimes. 0, or -1 and a reason. */
static int
find_bridge(JNIEnv *env, jclass *bridge, jmethodID *start, char *error,
    size_t error_size)
{
    jmethodID install;
    jclass local = (*env)->FindClass(env, "nffi/Bridge");

    if (local == NULL) {
        goto failed;
    }

    install = (*env)->GetStaticMethodID(env, local, "install", "()V");
    *start = (*env)->GetStaticMethodID(env, local, "start", "(J[B)V");
    *bridge = (*env)->NewGlobalRef(env, local);

    if (install == NULL || *start == NULL || *bridge == NULL) {
        goto failed;
    }

    (*env)->CallStaticVoidMethod(env, local, install);

    if (!(*env)->ExceptionCheck(env)) {
        return 0;
    }

failed:

    take_exception(env, error, error_size);

    return -1;
}


/* thread: the one that makes it; the others wait */
static void
make_machine(void)
{
    int rc;
    JNIEnv *env;
    JavaVM *vm = NULL;
    jclass bridge = NULL;
    jmethodID start = NULL;
    char reason[NFFI_JAVA_REASON];

    /* settings, files and dispositions do not change while it is made */
    rc = nffi_java_make_jvm(&machine.settings, machine.jvm_file,
                            machine.own_file, &vm, &env, reason,
                            sizeof(reason));
    if (rc == 0) {
        rc = find_bridge(env, &bridge, &start, reason, sizeof(reason));
        nffi_java_dispositions_restore(&machine.dispositions);
        (void) (*vm)->DetachCurrentThread(vm);
    }

    pthread_mutex_lock(&machine.mutex);
    machine.state = rc == 0 ? READY : FAILED;
    machine.vm = vm;
    machine.bridge = bridge;
    machine.start = start;

    if (rc != 0) {
        (void) snprintf(machine.reason, sizeof(machine.reason),
                        "the Java virtual machine did not start: %s", reason);
    }

    pthread_cond_broadcast(&machine.changed);
    pthread_mutex_unlock(&machine.mutex);
}


/* Returns 0, or -1 and a reason; thread: of the start, which is attached for
   this */
static int
start_in_java(const starting_t *starting, char *error, size_t error_size)
{
    int rc = -1;
    JNIEnv *env;
    jbyteArray config;
    JavaVM *vm = machine.vm;

    if ((*vm)->AttachCurrentThreadAsDaemon(vm, (void **) &env, NULL) != JNI_OK)
    {
        (void) snprintf(error, error_size, "a thread cannot be attached to "
                        "the Java virtual machine");
        return -1;
    }

    config = (*env)->NewByteArray(env, (jsize) starting->size);

    if (config) {
        (*env)->SetByteArrayRegion(env, config, 0, (jsize) starting->size,
                                   (const jbyte *) starting->config);
        (*env)->CallStaticVoidMethod(env, machine.bridge, machine.start,
                                     (jlong) (uintptr_t) starting->queue,
                                     config);
    }

    if ((*env)->ExceptionCheck(env)) {
        take_exception(env, error, error_size);

    } else {
        rc = 0;
    }

    (void) (*vm)->DetachCurrentThread(vm);

    return rc;
}


/* thread: its own; owns data */
static void *
start_run(void *data)
{
    int rc;
    starting_t *starting = data;
    char reason[NFFI_JAVA_REASON + 64], message[NFFI_JAVA_REASON + 128];

    if (starting->makes) {
        make_machine();
    }

    pthread_mutex_lock(&machine.mutex);

    while (machine.state == MAKING) {
        pthread_cond_wait(&machine.changed, &machine.mutex);
    }

    rc = machine.state == READY ? 0 : -1;
    memcpy(reason, machine.reason, sizeof(reason));
    pthread_mutex_unlock(&machine.mutex);

    if (rc == 0) {
        rc = start_in_java(starting, reason, sizeof(reason));
    }

    if (rc != 0) {
        (void) snprintf(message, sizeof(message),
                        "the runtime did not start: %s", reason);
        fprintf(stderr, "nffi: java: %s\n", message);
        nffi_java_refuse(starting->queue, message, strlen(message));
    }

    free(starting);

    return NULL;
}


static int
find_own_file(char *file, size_t size)
{
    Dl_info info;
    char *real;

    if (dladdr((void *) nffi_runtime_start, &info) == 0) {
        return -1;
    }

    real = realpath(info.dli_fname, NULL);

    if (real == NULL || strlen(real) >= size) {
        free(real);
        return -1;
    }

    strcpy(file, real);
    free(real);

    return 0;
}


/*
 * The options of the first runtime are those of the virtual machine. Returns 1:
 * this runtime makes it, 0: it exists, -1 and a reason: it cannot be used.
 * Requires the mutex. Takes ownership of the settings when it returns 1.
 */
static int
choose_machine(nffi_java_settings_t *settings, char *error, size_t error_size)
{
    const char *home = settings->java_home;

    if (machine.state == FAILED) {
        (void) snprintf(error, error_size, "%s", machine.reason);
        return -1;
    }

    if (machine.state != NONE) {
        if ((!settings->has_options && settings->java_home == NULL)
            || nffi_java_settings_equal(settings, &machine.settings))
        {
            return 0;
        }

        (void) snprintf(error, error_size, "the worker's Java virtual machine "
                        "was made with other jvm_args or another program: a "
                        "worker has one, pass the same to all its runtimes, or "
                        "none to those after the first");
        return -1;
    }

    if (home == NULL) {
        home = settings->default_java_home;
    }

    if (nffi_java_find_jvm(home, machine.jvm_file, sizeof(machine.jvm_file),
                           error, error_size)
        != 0)
    {
        return -1;
    }

    if (find_own_file(machine.own_file, sizeof(machine.own_file)) != 0) {
        (void) snprintf(error, error_size, "path of libnffi_java.so: unknown");
        return -1;
    }

    nffi_java_dispositions_save(&machine.dispositions);
    machine.settings = *settings;
    memset(settings, 0, sizeof(*settings));
    machine.state = MAKING;

    return 1;
}


int
nffi_runtime_start(nffi_queue_t *queue, const char *config, size_t config_size,
    char *error, size_t error_size)
{
    int makes = -1;
    starting_t *starting;
    nffi_java_settings_t settings;

    starting = malloc(sizeof(starting_t) + config_size);

    if (starting == NULL) {
        (void) snprintf(error, error_size, "not enough memory");
        return -1;
    }

    starting->queue = queue;
    starting->size = config_size;

    if (config_size > 0) {
        memcpy(starting->config, config, config_size);
    }

    if (nffi_java_settings_read(&settings, config, config_size, error,
                                error_size) == 0)
    {
        pthread_mutex_lock(&machine.mutex);
        makes = choose_machine(&settings, error, error_size);
        pthread_mutex_unlock(&machine.mutex);
    }

    nffi_java_settings_free(&settings);
    starting->makes = makes;

    if (makes >= 0 && start_thread(start_run, starting, STACK_SIZE) == 0) {
        return 0;
    }

    if (makes >= 0) {
        (void) snprintf(error, error_size, "no thread can be made");
    }

    if (makes == 1) {
        pthread_mutex_lock(&machine.mutex);
        machine.state = NONE;
        nffi_java_settings_free(&machine.settings);
        pthread_mutex_unlock(&machine.mutex);
    }

    free(starting);

    return -1;
}

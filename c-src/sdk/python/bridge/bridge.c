/*
 * bridge.c - hosts CPython in an nginx worker: libnffi_python.so.
 *
 * A worker has one interpreter for all runtimes. The first runtime starts it in
 * a separate thread. That thread stays for the life of the worker: it is
 * Python's main thread, the only one that could install signal handlers. Each
 * runtime has a thread that runs nffi/worker.py and creates others.
 */

#define _GNU_SOURCE

#include "../../shared/json.h"
#include "../../shared/trial.h"
#include "find.h"
#include "module.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


NFFI_RUNTIME_ABI;

NFFI_API int nffi_runtime_start(nffi_queue_t *queue, const char *config,
    size_t config_size, char *error, size_t error_size);


enum interpreter_state { NOT_STARTED = 0, STARTING, READY, FAILED };

/* Of this worker; guarded by the mutex. `place` is set before STARTING. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    enum interpreter_state state;
    nffi_python_place_t place;
    char error[2048];
} interpreter = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .changed = PTHREAD_COND_INITIALIZER,
};


/* What a runtime's thread is given, and frees. */
typedef struct start {
    nffi_queue_t *queue;
    size_t config_size;
    char config[];
} start_t;


static void
set_state(enum interpreter_state state)
{
    pthread_mutex_lock(&interpreter.mutex);
    interpreter.state = state;
    pthread_cond_broadcast(&interpreter.changed);
    pthread_mutex_unlock(&interpreter.mutex);
}


/* The error is the first one that is reported. */
static int
failed(const char *format, const char *about)
{
    pthread_mutex_lock(&interpreter.mutex);
    snprintf(interpreter.error, sizeof(interpreter.error), format, about);
    pthread_mutex_unlock(&interpreter.mutex);

    return -1;
}


/* The exception as text. With the lock of the interpreter. */
static void
take_exception(char *text, size_t size)
{
    char *bytes;
    PyObject *type, *value, *traceback, *string = NULL, *encoded = NULL;
    PyObject *module, *repr;
    Py_ssize_t n;

    py.PyErr_Fetch(&type, &value, &traceback);
    py.PyErr_NormalizeException(&type, &value, &traceback);
    module = py.PyImport_ImportModule("builtins");
    repr = module ? py.PyObject_GetAttrString(module, "repr") : NULL;

    if (repr != NULL && value != NULL) {
        string = py.PyObject_CallFunctionObjArgs(repr, value, NULL);
    }

    if (string != NULL) {
        encoded = py.PyUnicode_AsEncodedString(string, "utf-8",
                                               "backslashreplace");
    }

    if (encoded != NULL && py.PyBytes_AsStringAndSize(encoded, &bytes, &n) == 0)
    {
        snprintf(text, size, "%s", bytes);

    } else {
        snprintf(text, size, "an exception without a readable text");
    }

    py.PyErr_Clear();
    /* a few references of a start that failed are not worth the lines */
}


/* PREFIX/nffi/python, relative to PREFIX/nffi/lib/libnffi_python.so. */
static int
sdk_directory(char *directory, size_t size)
{
    Dl_info info;
    char path[4096];

    if (dladdr((void *) nffi_runtime_start, &info) == 0
        || realpath(info.dli_fname, path) == NULL)
    {
        return failed("%s", "the bridge cannot find its own directory");
    }

    *strrchr(path, '/') = '\0';
    snprintf(directory, size, "%s/../python", path);

    return 0;
}


/* Python that cannot start ends the process that it is in, so the program is
   run once, to do nothing. */
static int
try_program(const char *program)
{
    char reason[8192];
    const char *error, *argv[] = {
        program, "-E", "-c", "print('nffi: it runs')", NULL
    };

    if (nffi_bridge_try(argv, environ, "nffi: it runs", reason, sizeof(reason))
        == 0)
    {
        return 0;
    }

    /* the text before it may list the paths that Python searched. A trial that
       failed for another reason (no process could be started, a site module
       that leaves a helper behind) says nothing about Python, so start it */
    error = strstr(reason, "Fatal Python error");

    return error == NULL ? 0 : failed("Python cannot start: %.500s", error);
}


/* Newer versions take their settings by name, and return where older ones end
   the process: find.c and the trial have looked for the reasons, and no
   version reads its variables of the environment, since one with a bad value is
   a reason, too. PYTHONPATH is nffi/worker.py's. */
static int
initialize(const char *program)
{
    int rc;
    void *config;
    wchar_t *name;
    const char *error = "";

    if (py.PyInitConfig_Create != NULL && py.PyInitConfig_SetInt != NULL
        && py.PyInitConfig_SetStr != NULL && py.PyInitConfig_GetError != NULL
        && py.Py_InitializeFromInitConfig != NULL)
    {
        config = py.PyInitConfig_Create();

        if (config == NULL) {
            return failed("%s", "not enough memory");
        }

        rc = py.PyInitConfig_SetInt(config, "utf8_mode", 1)
             || py.PyInitConfig_SetInt(config, "configure_locale", 0)
             || py.PyInitConfig_SetInt(config, "install_signal_handlers", 0)
             || py.PyInitConfig_SetInt(config, "site_import", 1)
             || py.PyInitConfig_SetStr(config, "program_name", program)
             || py.PyInitConfig_SetStr(config, "executable", program)
             || py.Py_InitializeFromInitConfig(config);

        if (rc != 0) {
            py.PyInitConfig_GetError(config, &error);
            failed("Python did not start: %s", error);
        }

        py.PyInitConfig_Free(config);

        return rc != 0 ? -1 : 0;
    }

    name = py.Py_DecodeLocale(program, NULL);

    if (name == NULL || py.Py_SetProgramName == NULL) {
        return failed("%s", "cannot set the program of Python");
    }

    /* kept: Python needs the name as long as it lives */
    py.Py_SetProgramName(name);
    py.Py_InitializeEx(0);

    return py.Py_IsInitialized() ? 0 : failed("%s", "Python did not start");
}


/* Leaves the lock of the interpreter free. */
static int
prepare(void)
{
    char directory[5000], text[1024];
    PyObject *path, *entry, *module = NULL;

    if (sdk_directory(directory, sizeof(directory)) != 0) {
        return -1;
    }

    path = py.PySys_GetObject("path");
    entry = py.PyUnicode_DecodeFSDefault(directory);

    if (path != NULL && entry != NULL
        && py.PyList_Insert(path, 0, entry) == 0)
    {
        module = py.PyImport_ImportModule("nffi.worker");
    }

    if (module == NULL) {
        take_exception(text, sizeof(text));
        failed("Python cannot import nffi: %s", text);
    }

    (void) py.PyEval_SaveThread();

    return module != NULL ? 0 : -1;
}


/* thread: Python's main one */
static void *
run_interpreter(void *unused)
{
    int *utf8_mode, *ignore_environment;
    void *handle;
    const char *missing;

    (void) unused;
    (void) pthread_setname_np(pthread_self(), "nffi-python");

    /* extension modules expect Python's names in the global scope */
    handle = dlopen(interpreter.place.library, RTLD_NOW|RTLD_GLOBAL);

    if (handle == NULL) {
        failed("%s", dlerror());
        goto failed;
    }

    missing = nffi_python_bind(handle);

    if (missing != NULL) {
        failed("this is no CPython of 3.9 or later: it has no %s", missing);
        goto failed;
    }

    /* nginx runs in the locale C; a file's name is UTF-8 all the same */
    utf8_mode = dlsym(handle, "Py_UTF8Mode");

    if (utf8_mode != NULL) {
        *utf8_mode = 1;
    }

    ignore_environment = dlsym(handle, "Py_IgnoreEnvironmentFlag");

    if (ignore_environment != NULL) {
        *ignore_environment = 1;
    }

    if (py.PyImport_AppendInittab("_nffi", PyInit__nffi) != 0
        || try_program(interpreter.place.program) != 0
        || initialize(interpreter.place.program) != 0 || prepare() != 0)
    {
        goto failed;
    }

    set_state(READY);

    for ( ;; ) {
        pause();
    }

failed:

    set_state(FAILED);

    return NULL;
}


/* Runtimes that cannot run respond to each call with the reason. */
static void
refuse(nffi_queue_t *queue, const char *reason)
{
    int i, n;
    nffi_request_t requests[16];

    while ((n = nffi_queue_poll(queue, requests, 16, -1)) >= 0) {
        for (i = 0; i < n; i++) {
            (void) nffi_respond_error(requests[i].task, reason, strlen(reason),
                                      NULL, 0);
        }
    }
}


/* Runs nffi/worker.py until the queue has ended. */
static void
serve(start_t *start)
{
    int state;
    char text[1024] = "";
    PyObject *module, *run = NULL, *queue, *config, *result = NULL;

    state = py.PyGILState_Ensure();
    module = py.PyImport_ImportModule("nffi.worker");

    if (module != NULL) {
        run = py.PyObject_GetAttrString(module, "run");
    }

    queue = py.PyLong_FromVoidPtr(start->queue);
    config = py.PyBytes_FromStringAndSize(start->config,
                                          (Py_ssize_t) start->config_size);

    if (run != NULL && queue != NULL && config != NULL) {
        result = py.PyObject_CallFunctionObjArgs(run, queue, config, NULL);
    }

    if (result != NULL) {
        py.Py_DecRef(result);

    } else {
        take_exception(text, sizeof(text));
    }

    py.PyGILState_Release(state);

    if (result == NULL) {
        refuse(start->queue, text);
    }
}


/* thread: one of the runtime */
static void *
run_runtime(void *data)
{
    start_t *start = data;
    enum interpreter_state state;

    (void) pthread_setname_np(pthread_self(), "nffi-python-run");

    pthread_mutex_lock(&interpreter.mutex);

    while (interpreter.state == STARTING) {
        pthread_cond_wait(&interpreter.changed, &interpreter.mutex);
    }

    state = interpreter.state;
    pthread_mutex_unlock(&interpreter.mutex);

    if (state == READY) {
        serve(start);

    } else {
        /* not written after this */
        refuse(start->queue, interpreter.error);
    }

    free(start);

    return NULL;
}


static int
start_thread(void *(*function)(void *), void *data)
{
    int rc;
    pthread_t thread;
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    rc = pthread_create(&thread, &attributes, function, data);
    pthread_attr_destroy(&attributes);

    return rc;
}


/* Checks that the running interpreter is the requested one, or starts it.
   Requires the mutex. */
static int
want_interpreter(const char *program, char *error, size_t error_size)
{
    nffi_python_place_t place;

    if (interpreter.state != NOT_STARTED) {

        if (program == NULL
            || strcmp(program, interpreter.place.program) == 0)
        {
            return 0;
        }

        snprintf(error, error_size, "this worker runs the Python of %.200s "
                 "already, and has only one: %.200s requires "
                 "host = \"process\"",
                 interpreter.place.program, program);
        return -1;
    }

    if (nffi_python_find(program, &place, error, error_size) != 0) {
        return -1;
    }

    interpreter.place = place;
    interpreter.state = STARTING;

    if (start_thread(run_interpreter, NULL) != 0) {
        interpreter.state = NOT_STARTED;
        snprintf(error, error_size, "no thread for Python");
        return -1;
    }

    return 0;
}


/* Reads the option "program": 1, 0 if there is none, -1 if it is no path. JSON
   that is wrong is reported later, by Python. */
static int
read_program(const char *config, size_t config_size, char *program)
{
    nffi_json_t json;

    if (nffi_json_find(config, config_size, "program", &json) != 1
        || !nffi_json_is(&json, '"'))
    {
        return 0;
    }

    return nffi_json_string(&json, program, NFFI_PYTHON_PATH) > 0 ? 1 : -1;
}


/* thread: the event loop; blocks: a few looks at the file system */
int
nffi_runtime_start(nffi_queue_t *queue, const char *config, size_t config_size,
    char *error, size_t error_size)
{
    int rc, named;
    char program[NFFI_PYTHON_PATH];
    start_t *start;

    named = config_size > 0 ? read_program(config, config_size, program) : 0;

    if (named < 0) {
        snprintf(error, error_size, "the \"program\" of the configuration is "
                 "no path: it is empty, has a NUL or is longer than %d bytes",
                 NFFI_PYTHON_PATH - 1);
        return -1;
    }

    pthread_mutex_lock(&interpreter.mutex);
    rc = want_interpreter(named ? program : NULL, error, error_size);
    pthread_mutex_unlock(&interpreter.mutex);

    if (rc != 0) {
        return rc;
    }

    start = malloc(sizeof(*start) + config_size);

    if (start == NULL) {
        snprintf(error, error_size, "not enough memory");
        return -1;
    }

    start->queue = queue;
    start->config_size = config_size;

    if (config_size > 0) {
        memcpy(start->config, config, config_size);
    }


    if (start_thread(run_runtime, start) != 0) {
        free(start);
        snprintf(error, error_size, "no thread for the runtime");
        return -1;
    }

    return 0;
}

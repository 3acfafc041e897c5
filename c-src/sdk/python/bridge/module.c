/*
 * module.c - the functions of libnffi for Python: the module _nffi. In a
 * process it is an extension module, in the worker it is built into the bridge.
 * task.c has the functions that take a task.
 *
 * A queue is a number, its address; a task is a number, its handle. Only
 * functions that wait release the lock of the interpreter.
 */

#define _GNU_SOURCE

#include "module.h"
#include "task.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>


/* Tasks that one look at the queue takes, and looks in a turn of an event
   loop: timers and I/O get theirs. */
#define BATCH 64
#define ROUNDS 16

#define GROUP "nffi_group"


static PyObject *
none(void)
{
    py.Py_IncRef(py.none);

    return py.none;
}


/* The plan may be exchanged while its calls run: a new reference. */
static PyObject *
plan_of(PyObject *cell)
{
    PyObject *plan = py.PyList_GetItem(cell, 0);

    if (plan != NULL) {
        py.Py_IncRef(plan);
    }

    return plan;
}


/* serve(queue, cell, group): makes calls until the queue has ended; `cell` is a
   list of one plan. Each thread of a group calls it. */
static PyObject *
serve(PyObject *self, PyObject *args)
{
    int n;
    PyObject *plan, *cell;
    nffi_group_t *group;
    nffi_task_t writable[BATCH];
    nffi_queue_t *queue;
    PyThreadState *state;
    nffi_request_t request;
    nffi_group_member_t member = { 0 };

    (void) self;

    queue = nffi_python_queue(args);
    cell = py.PyTuple_GetItem(args, 1);
    group = queue == NULL || cell == NULL ? NULL
           : py.PyCapsule_GetPointer(py.PyTuple_GetItem(args, 2), GROUP);

    if (group == NULL) {
        return NULL;
    }

    for ( ;; ) {

        if (!nffi_group_leads(group, &member)) {
            bool leads;

            state = py.PyEval_SaveThread();
            leads = nffi_group_lead(group, &member);
            py.PyEval_RestoreThread(state);

            if (!leads) {
                break;
            }
        }

        n = nffi_queue_poll(queue, &request, 1, 0);

        if (n == 0) {
            state = py.PyEval_SaveThread();
            n = nffi_queue_poll(queue, &request, 1, -1);
            py.PyEval_RestoreThread(state);
        }

        if (n == 0) {
            /* who writes waits by itself; only the note is taken */
            (void) nffi_stream_writable(queue, writable, BATCH);
            continue;
        }

        if (n < 0) {
            nffi_group_end(group);
            break;
        }

        plan = plan_of(cell);

        if (plan == NULL) {
            nffi_group_leave(group, &member);
            return NULL;
        }

        nffi_group_begin(group, &member);
        nffi_python_call(plan, &request);
        nffi_group_done(&member);
        py.Py_DecRef(plan);
    }

    nffi_group_leave(group, &member);

    return none();
}


/* run_tasks(queue, cell): makes the waiting calls. True: more may wait already;
   False: the queue's descriptor becomes readable; None: the queue has ended. */
static PyObject *
run_tasks(PyObject *self, PyObject *args)
{
    int i, n, round;
    PyObject *plan;
    nffi_queue_t *queue;
    nffi_request_t requests[BATCH];

    (void) self;

    queue = nffi_python_queue(args);
    plan = queue != NULL ? plan_of(py.PyTuple_GetItem(args, 1)) : NULL;

    if (plan == NULL) {
        return NULL;
    }

    for (round = 0; round < ROUNDS; round++) {
        n = nffi_queue_poll(queue, requests, BATCH, 0);

        if (n <= 0) {
            break;
        }

        for (i = 0; i < n; i++) {
            nffi_python_call(plan, &requests[i]);
        }
    }

    py.Py_DecRef(plan);

    if (n < 0) {
        return none();
    }

    return py.PyBool_FromLong(n > 0 || nffi_queue_arm(queue) != 0);
}


/* take(queue): one (task, method, bytes), waiting for it; None: the end. For a
   runtime that has nothing to call. */
static PyObject *
take(PyObject *self, PyObject *args)
{
    int n;
    long timeout_ms;
    nffi_queue_t *queue;
    PyThreadState *state;
    nffi_request_t request;

    (void) self;

    queue = nffi_python_queue(args);
    timeout_ms = queue != NULL ? nffi_python_number_at(args, 1) : 0;

    if (queue == NULL || py.PyErr_Occurred() != NULL) {
        return NULL;
    }

    state = py.PyEval_SaveThread();
    n = nffi_queue_poll(queue, &request, 1, (int) timeout_ms);
    py.PyEval_RestoreThread(state);

    if (n < 0) {
        return none();
    }

    return py.PyLong_FromUnsignedLongLong(n == 0 ? 0 : request.task);
}


static void
destroy_group(PyObject *capsule)
{
    nffi_group_destroy(py.PyCapsule_GetPointer(capsule, GROUP));
}


static PyObject *
make_group(PyObject *self, PyObject *args)
{
    PyObject *capsule;
    nffi_group_t *group = nffi_group_create();

    (void) self;
    (void) args;

    if (group == NULL) {
        py.PyErr_SetString(*py.runtime_error, "not enough memory");
        return NULL;
    }

    capsule = py.PyCapsule_New(group, GROUP, destroy_group);

    if (capsule == NULL) {
        nffi_group_destroy(group);
    }

    return capsule;
}


static PyObject *
fd(PyObject *self, PyObject *args)
{
    nffi_queue_t *queue = nffi_python_queue(args);

    (void) self;

    return queue != NULL ? py.PyLong_FromLong(nffi_queue_fd(queue)) : NULL;
}


/* release_fd(queue): the event loop waits on the descriptor no more. */
static PyObject *
release_fd(PyObject *self, PyObject *args)
{
    nffi_queue_t *queue = nffi_python_queue(args);

    (void) self;

    return queue != NULL ? py.PyLong_FromLong(nffi_queue_release_fd(queue))
                         : NULL;
}


static PyObject *
current(PyObject *self, PyObject *args)
{
    (void) self;
    (void) args;

    return py.PyLong_FromUnsignedLongLong(nffi_python_current());
}


static PyObject *
take_notes(PyObject *args,
    int (*function)(nffi_queue_t *, nffi_task_t *, size_t))
{
    int i, n;
    PyObject *list, *task;
    nffi_task_t tasks[BATCH];
    nffi_queue_t *queue = nffi_python_queue(args);

    list = queue != NULL ? py.PyList_New(0) : NULL;

    if (list == NULL) {
        return NULL;
    }

    do {
        n = function(queue, tasks, BATCH);

        for (i = 0; i < n; i++) {
            task = py.PyLong_FromUnsignedLongLong(tasks[i]);

            if (task == NULL || py.PyList_Append(list, task) != 0) {
                py.Py_DecRef(list);
                return NULL;
            }

            py.Py_DecRef(task);
        }
    } while (n == BATCH);

    return list;
}


static PyObject *
take_cancelled(PyObject *self, PyObject *args)
{
    (void) self;

    return take_notes(args, nffi_queue_cancelled);
}


static PyObject *
take_writable(PyObject *self, PyObject *args)
{
    (void) self;

    return take_notes(args, nffi_stream_writable);
}


/* log(queue, task, level, bytes): of no task, or one that is answered, it goes
   to the log of the queue. */
static PyObject *
write_log(PyObject *self, PyObject *args)
{
    int rc, level;
    char *text;
    uint64_t task;
    Py_ssize_t size;
    nffi_queue_t *queue = nffi_python_queue(args);

    (void) self;

    task = queue != NULL ? nffi_python_task_at(args, 1) : 0;
    level = queue != NULL ? (int) nffi_python_number_at(args, 2) : 0;

    if (queue == NULL
        || py.PyBytes_AsStringAndSize(py.PyTuple_GetItem(args, 3), &text,
                                      &size) != 0)
    {
        return NULL;
    }

    rc = task != 0 ? nffi_log(task, level, text, (size_t) size) : NFFI_STALE;

    if (rc == NFFI_STALE) {
        rc = nffi_queue_log(queue, level, text, (size_t) size);
    }

    return py.PyLong_FromLong(rc);
}


static PyObject *
error_text(PyObject *self, PyObject *args)
{
    const char *text = nffi_error_text((int) nffi_python_number_at(args, 0));

    (void) self;

    return py.PyUnicode_DecodeUTF8(text, (Py_ssize_t) strlen(text), NULL);
}


#define METHOD(name, function) { name, function, PY_METH_VARARGS, NULL }

static py_method_t methods[] = {
    METHOD("serve", serve),
    METHOD("run_tasks", run_tasks),
    METHOD("take", take),
    METHOD("group", make_group),
    METHOD("fd", fd),
    METHOD("release_fd", release_fd),
    METHOD("current", current),
    METHOD("cancelled", nffi_python_cancelled),
    METHOD("method", nffi_python_method),
    METHOD("deadline", nffi_python_deadline),
    METHOD("is_stream", nffi_python_is_stream),
    METHOD("respond", nffi_python_respond),
    METHOD("respond_error", nffi_python_respond_error),
    METHOD("respond_code", nffi_python_respond_code),
    METHOD("stream_write", nffi_python_stream_write),
    METHOD("stream_wait", nffi_python_stream_wait),
    METHOD("stream_end", nffi_python_stream_end),
    METHOD("take_cancelled", take_cancelled),
    METHOD("take_writable", take_writable),
    METHOD("log", write_log),
    METHOD("attach", nffi_python_attach),
    METHOD("config", nffi_python_config),
    METHOD("attach_ready", nffi_python_attach_ready),
    METHOD("attach_failed", nffi_python_attach_failed),
    METHOD("error_text", error_text),
    { NULL, NULL, 0, NULL }
};

static py_module_def_t definition = {
    .references = 1,
    .name = "_nffi",
    .size = -1,
    .methods = methods,
};


PyObject *
nffi_python_module(void)
{
    return py.PyModule_Create2(&definition, PY_ABI_VERSION);
}


/* As an extension: the importing program provides CPython's functions. */
PyObject *
PyInit__nffi(void)
{
    if (py.PyModule_Create2 == NULL && nffi_python_bind(RTLD_DEFAULT) != NULL) {
        /* before 3.9, which importlib reports by the failed call */
        return NULL;
    }

    return nffi_python_module();
}

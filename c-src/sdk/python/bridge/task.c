/*
 * task.c - the functions of the module _nffi that take a task: its properties,
 * its response and its chunks.
 */

#include "task.h"
#include "module.h"


uint64_t
nffi_python_task_at(PyObject *args, int at)
{
    PyObject *number = py.PyTuple_GetItem(args, at);

    return number != NULL ? py.PyLong_AsUnsignedLongLong(number) : 0;
}


long
nffi_python_number_at(PyObject *args, int at)
{
    PyObject *number = py.PyTuple_GetItem(args, at);

    return number != NULL ? py.PyLong_AsLong(number) : 0;
}


/* cancelled(task): 1 or 0; negative: it has its response. */
PyObject *
nffi_python_cancelled(PyObject *self, PyObject *args)
{
    (void) self;

    return py.PyLong_FromLong(
        nffi_task_cancelled(nffi_python_task_at(args, 0)));
}


/* method(task): a str, empty without a method or after the response. */
PyObject *
nffi_python_method(PyObject *self, PyObject *args)
{
    nffi_request_t request;

    (void) self;

    if (nffi_task_request(nffi_python_task_at(args, 0), &request) != NFFI_OK) {
        request.method_size = 0;
    }

    return py.PyUnicode_DecodeUTF8(request.method_size > 0 ? request.method
                                                           : "",
                                   (Py_ssize_t) request.method_size,
                                   "replace");
}


/* deadline(task): nanoseconds of CLOCK_MONOTONIC; 0: none, or answered. */
PyObject *
nffi_python_deadline(PyObject *self, PyObject *args)
{
    nffi_request_t request;

    (void) self;

    return py.PyLong_FromUnsignedLongLong(
        nffi_task_request(nffi_python_task_at(args, 0), &request) == NFFI_OK
        ? request.deadline_ns : 0);
}


/* is_stream(task): whether Lua reads chunks. */
PyObject *
nffi_python_is_stream(PyObject *self, PyObject *args)
{
    nffi_request_t request;

    (void) self;

    return py.PyBool_FromLong(
        nffi_task_request(nffi_python_task_at(args, 0), &request) == NFFI_OK
        && (request.flags & NFFI_REQUEST_STREAM));
}


/* respond(task, bytes), stream_write(task, bytes): the result's code. */
static PyObject *
give(PyObject *args, int (*function)(nffi_task_t, const void *, size_t))
{
    int rc;
    char *data;
    uint64_t task = nffi_python_task_at(args, 0);
    PyObject *bytes, *value = py.PyTuple_GetItem(args, 1);
    Py_ssize_t size;
    PyThreadState *state;

    bytes = value != NULL ? nffi_python_bytes(value, &data, &size) : NULL;

    if (bytes == NULL) {
        return NULL;
    }

    /* a large one of a process travels over its socket */
    state = py.PyEval_SaveThread();
    rc = function(task, data, (size_t) size);
    py.PyEval_RestoreThread(state);
    py.Py_DecRef(bytes);

    return py.PyLong_FromLong(rc);
}


static int
respond_success(nffi_task_t task, const void *data, size_t size)
{
    return nffi_respond(task, 0, data, size);
}


PyObject *
nffi_python_respond(PyObject *self, PyObject *args)
{
    (void) self;

    return give(args, respond_success);
}


/* respond_code(task, rc, message): fails with a number. */
PyObject *
nffi_python_respond_code(PyObject *self, PyObject *args)
{
    int rc;
    char *message;
    Py_ssize_t size;

    (void) self;

    rc = (int) nffi_python_number_at(args, 1);

    if (py.PyErr_Occurred() != NULL
        || py.PyBytes_AsStringAndSize(py.PyTuple_GetItem(args, 2), &message,
                                      &size) != 0)
    {
        return NULL;
    }

    return py.PyLong_FromLong(nffi_respond(nffi_python_task_at(args, 0), rc,
                                           message, (size_t) size));
}


PyObject *
nffi_python_stream_write(PyObject *self, PyObject *args)
{
    (void) self;

    return give(args, nffi_stream_write);
}


/* respond_error(task, message, detail): two bytes objects. */
PyObject *
nffi_python_respond_error(PyObject *self, PyObject *args)
{
    int rc;
    char *message, *detail;
    Py_ssize_t message_size, detail_size;

    (void) self;

    if (py.PyTuple_Size(args) != 3
        || py.PyBytes_AsStringAndSize(py.PyTuple_GetItem(args, 1), &message,
                                      &message_size) != 0
        || py.PyBytes_AsStringAndSize(py.PyTuple_GetItem(args, 2), &detail,
                                      &detail_size) != 0)
    {
        return NULL;
    }

    rc = nffi_respond_error(nffi_python_task_at(args, 0), message,
                            (size_t) message_size,
                            detail_size > 0 ? detail : NULL,
                            (size_t) detail_size);

    return py.PyLong_FromLong(rc);
}


PyObject *
nffi_python_stream_wait(PyObject *self, PyObject *args)
{
    int rc;
    long timeout_ms = nffi_python_number_at(args, 1);
    uint64_t task = nffi_python_task_at(args, 0);
    PyThreadState *state;

    (void) self;

    if (timeout_ms == 0) {
        return py.PyLong_FromLong(nffi_stream_wait(task, 0));
    }

    state = py.PyEval_SaveThread();
    rc = nffi_stream_wait(task, (int) timeout_ms);
    py.PyEval_RestoreThread(state);

    return py.PyLong_FromLong(rc);
}


PyObject *
nffi_python_stream_end(PyObject *self, PyObject *args)
{
    int rc;
    uint64_t task = nffi_python_task_at(args, 0);
    PyThreadState *state;

    (void) self;

    /* copies what a plain call has collected */
    state = py.PyEval_SaveThread();
    rc = nffi_stream_end(task);
    py.PyEval_RestoreThread(state);

    return py.PyLong_FromLong(rc);
}

/*
 * attach.c - functions of _nffi for the start of a process: it attaches to the
 * queue, reads its configuration and reports whether it is ready.
 */

#include "module.h"


/* attach(): the queue of a process; a negative code on failure. Signals that
   end programs do nothing afterwards. */
PyObject *
nffi_python_attach(PyObject *self, PyObject *args)
{
    int rc;
    nffi_queue_t *queue;

    (void) self;
    (void) args;

    rc = nffi_attach(&queue);

    if (rc == NFFI_OK) {
        nffi_python_stay_alive();
    }

    return rc == NFFI_OK ? py.PyLong_FromVoidPtr(queue)
                         : py.PyLong_FromLong(rc);
}


/* config(queue): the configuration that Lua passed, as bytes; None: none. */
PyObject *
nffi_python_config(PyObject *self, PyObject *args)
{
    size_t size;
    const char *bytes;
    nffi_queue_t *queue = nffi_python_queue(args);

    (void) self;

    if (queue == NULL) {
        return NULL;
    }

    bytes = nffi_queue_config(queue, &size);

    if (bytes == NULL) {
        py.Py_IncRef(py.none);
        return py.none;
    }

    return py.PyBytes_FromStringAndSize(bytes, (Py_ssize_t) size);
}


PyObject *
nffi_python_attach_ready(PyObject *self, PyObject *args)
{
    nffi_queue_t *queue = nffi_python_queue(args);

    (void) self;

    return queue != NULL ? py.PyLong_FromLong(nffi_attach_ready(queue)) : NULL;
}


PyObject *
nffi_python_attach_failed(PyObject *self, PyObject *args)
{
    char *text;
    Py_ssize_t size;
    nffi_queue_t *queue = nffi_python_queue(args);

    (void) self;

    if (queue == NULL
        || py.PyBytes_AsStringAndSize(py.PyTuple_GetItem(args, 1), &text,
                                      &size) != 0)
    {
        return NULL;
    }

    return py.PyLong_FromLong(nffi_attach_failed(queue, text, (size_t) size));
}

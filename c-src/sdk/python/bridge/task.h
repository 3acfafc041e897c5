/*
 * task.h - the functions of the module _nffi that take a task, and its
 * arguments that are numbers. thread: any that holds the lock of the
 * interpreter; blocks: no, but for stream_wait
 */

#ifndef NFFI_PYTHON_TASK_H
#define NFFI_PYTHON_TASK_H

#include <stdint.h>

#include "python_abi.h"

/* Return the argument at this position; with an exception, like int(). */
uint64_t nffi_python_task_at(PyObject *args, int at);
long nffi_python_number_at(PyObject *args, int at);

PyObject *nffi_python_cancelled(PyObject *self, PyObject *args);
PyObject *nffi_python_method(PyObject *self, PyObject *args);
PyObject *nffi_python_deadline(PyObject *self, PyObject *args);
PyObject *nffi_python_is_stream(PyObject *self, PyObject *args);
PyObject *nffi_python_respond(PyObject *self, PyObject *args);
PyObject *nffi_python_respond_code(PyObject *self, PyObject *args);
PyObject *nffi_python_stream_write(PyObject *self, PyObject *args);
PyObject *nffi_python_respond_error(PyObject *self, PyObject *args);
PyObject *nffi_python_stream_wait(PyObject *self, PyObject *args);
PyObject *nffi_python_stream_end(PyObject *self, PyObject *args);

#endif /* NFFI_PYTHON_TASK_H */

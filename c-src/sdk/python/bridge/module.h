/*
 * module.h - the parts of the module _nffi: the group of threads that take
 * calls, the calls they make, and the functions of libnffi for Python.
 */

#ifndef NFFI_PYTHON_MODULE_H
#define NFFI_PYTHON_MODULE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "nffi.h"
#include "python_abi.h"


/*
 * One thread of a group leads: it takes calls and makes them. When a call takes
 * longer than a tick, another thread leads. So one thread makes all short calls
 * and never releases the GIL between them, and calls that wait run in parallel.
 */
typedef struct nffi_group nffi_group_t;

/* One thread of a group. The thread owns it, while it serves. */
typedef struct nffi_group_member {
    _Atomic uint64_t turn;    /* odd while a call is being made */
} nffi_group_member_t;

/* NULL: no memory. */
nffi_group_t *nffi_group_create(void);
void nffi_group_destroy(nffi_group_t *group);

/* Waits until it is this thread's turn to lead; false: the queue has ended.
   thread: any, without the lock of the interpreter; blocks: yes */
bool nffi_group_lead(nffi_group_t *group, nffi_group_member_t *member);

/* Returns true if this thread leads, or leads again because the leader makes a
   call. blocks: no */
bool nffi_group_leads(nffi_group_t *group, nffi_group_member_t *member);

/* Around each call. */
void nffi_group_begin(nffi_group_t *group, nffi_group_member_t *member);
void nffi_group_done(nffi_group_member_t *member);

/* The queue has ended: no thread waits to lead any longer. */
void nffi_group_end(nffi_group_t *group);

/* This thread stops serving. */
void nffi_group_leave(nffi_group_t *group, nffi_group_member_t *member);


/*
 * Makes the call of a request and responds, or passes it to the plan's `begin`.
 * `plan` is nffi/plan.py's tuple; borrowed. Never leaves an exception. thread:
 * any that holds the lock of the interpreter
 */
void nffi_python_call(PyObject *plan, const nffi_request_t *request);

/* The task whose function runs in this thread, or 0. */
nffi_task_t nffi_python_current(void);

/* Bytes of a bytes object, or of a str as UTF-8; the object that owns them is
   a new reference, NULL with an exception otherwise. */
PyObject *nffi_python_bytes(PyObject *value, char **data, Py_ssize_t *size);


/* The queue that is the first argument; NULL with an exception otherwise. */
nffi_queue_t *nffi_python_queue(PyObject *args);

/* attach.c: functions of _nffi. */
PyObject *nffi_python_attach(PyObject *self, PyObject *args);
PyObject *nffi_python_config(PyObject *self, PyObject *args);
PyObject *nffi_python_attach_ready(PyObject *self, PyObject *args);
PyObject *nffi_python_attach_failed(PyObject *self, PyObject *args);


/*
 * The worker ends a process, not the terminal or service manager that it runs
 * under: signals that end programs do nothing here. Programs that it starts
 * have the default actions. thread: the first one, once; blocks: no
 */
void nffi_python_stay_alive(void);


/* `_nffi` as an extension module. */
NFFI_API PyObject *PyInit__nffi(void);

/* The same when names were already looked up. */
PyObject *nffi_python_module(void);

#endif /* NFFI_PYTHON_MODULE_H */

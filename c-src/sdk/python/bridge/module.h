/*
 * module.h - the parts of the module _nffi: the crew of threads that take
 * turns, the calls they make, and what Python may ask of libnffi.
 */

#ifndef NFFI_PYTHON_MODULE_H
#define NFFI_PYTHON_MODULE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "nffi.h"
#include "python_abi.h"


/*
 * One thread of a crew leads: it takes calls and makes them. When a call takes
 * longer than a tick, another one leads. So one thread makes all short calls
 * and never hands over its lock of the interpreter, and waiting calls run in
 * parallel.
 */
typedef struct nffi_crew nffi_crew_t;

/* A thread's place in a crew; its own, and valid while it serves. */
typedef struct nffi_crew_member {
    _Atomic uint64_t turn;    /* odd while a call is being made */
} nffi_crew_member_t;

/* NULL: no memory. */
nffi_crew_t *nffi_crew_create(void);
void nffi_crew_destroy(nffi_crew_t *crew);

/* Waits until it is this thread's turn to lead; false: the queue has ended.
   thread: any, without the lock of the interpreter; blocks: yes */
bool nffi_crew_lead(nffi_crew_t *crew, nffi_crew_member_t *member);

/* Whether this thread leads, or may lead again after a call during which
   another one had to step in. blocks: no */
bool nffi_crew_leads(nffi_crew_t *crew, nffi_crew_member_t *member);

/* Around each call. */
void nffi_crew_begin(nffi_crew_t *crew, nffi_crew_member_t *member);
void nffi_crew_done(nffi_crew_member_t *member);

/* The queue has ended: all threads are let go. */
void nffi_crew_end(nffi_crew_t *crew);

/* This thread stops serving. */
void nffi_crew_leave(nffi_crew_t *crew, nffi_crew_member_t *member);


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

/*
 * call.c - one call of a function of the user: finds it, passes the request,
 * and responds with the result. Less common cases (errors, coroutines,
 * generators, unusual results) are handled by functions of the plan.
 *
 * All of it runs in a thread that holds the lock of the interpreter.
 */

#include "module.h"

#include <string.h>


/* nffi/plan.py makes a tuple of these */
enum {
    PLAN_METHODS = 0,         /* {name: entry} */
    PLAN_UNNAMED,             /* entry, or None */
    PLAN_LOADS,               /* str -> value */
    PLAN_DUMPS,               /* value -> bytes */
    PLAN_CONTEXT,             /* task -> Context */
    PLAN_BEGIN,               /* (task, entry, argument): sends the response */
    PLAN_FINISH,              /* (task, entry, result): the same */
    PLAN_FAIL,                /* (task, error): the same */
    PLAN_UNKNOWN,             /* (task, name): the same */
    PLAN_ANY                  /* entry for names that no method has, or None */
};

/* and an entry of these */
enum { ENTRY_FUNCTION = 0, ENTRY_FLAGS };

#define ENTRY_JSON        1
#define ENTRY_CONTEXT     2   /* function(argument, context) */
#define ENTRY_NO_ARGUMENT 4   /* function() */
#define ENTRY_BEGIN       8   /* is not called here */

/* A response of this size is worth a release of the lock while it is copied. */
#define LARGE (1024 * 1024)


static const char no_memory[] = "not enough memory to report the error";

static __thread nffi_task_t current;


nffi_task_t
nffi_python_current(void)
{
    return current;
}


nffi_queue_t *
nffi_python_queue(PyObject *args)
{
    void *queue = py.PyLong_AsVoidPtr(py.PyTuple_GetItem(args, 0));

    if (queue == NULL && py.PyErr_Occurred() == NULL) {
        py.PyErr_SetString(*py.value_error, "no queue");
    }

    return queue;
}


PyObject *
nffi_python_bytes(PyObject *value, char **data, Py_ssize_t *size)
{
    PyObject *type, *bytes;

    type = py.PyObject_Type(value);
    py.Py_DecRef(type);

    if (type == py.str_type) {
        bytes = py.PyUnicode_AsUTF8String(value);

    } else {
        py.Py_IncRef(value);
        bytes = value;
    }

    if (bytes != NULL && py.PyBytes_AsStringAndSize(bytes, data, size) != 0) {
        py.Py_DecRef(bytes);
        return NULL;
    }

    return bytes;
}


/* NULL with an exception, like CPython. */
static PyObject *
call(PyObject *function, PyObject *first, PyObject *second)
{
    size_t n = second != NULL ? 2 : first != NULL ? 1 : 0;
    PyObject *args[] = { first, second };

    if (py.PyObject_Vectorcall != NULL) {
        return py.PyObject_Vectorcall(function, args, n, NULL);
    }

    return py.PyObject_CallFunctionObjArgs(function, first, second, NULL);
}


/* Calls a function that sends the response itself, and responds with an error
   when it fails. Steals `third`; NULL: an exception is set. */
static void
delegate(PyObject *function, nffi_task_t task, PyObject *second,
    PyObject *third)
{
    PyObject *handle, *result = NULL;

    handle = py.PyLong_FromUnsignedLongLong(task);

    if (handle != NULL) {
        result = third == NULL
                 ? py.PyObject_CallFunctionObjArgs(function, handle, second,
                                                   NULL)
                 : py.PyObject_CallFunctionObjArgs(function, handle, second,
                                                   third, NULL);
        py.Py_DecRef(handle);
    }

    if (third != NULL) {
        py.Py_DecRef(third);
    }

    if (result != NULL) {
        py.Py_DecRef(result);
        return;
    }

    py.PyErr_Clear();

    /* it has not responded, or this is refused */
    (void) nffi_respond_error(task, no_memory, sizeof(no_memory) - 1, NULL, 0);
}


static void
fail(PyObject *plan, nffi_task_t task)
{
    PyObject *type, *error, *traceback;

    py.PyErr_Fetch(&type, &error, &traceback);
    py.PyErr_NormalizeException(&type, &error, &traceback);

    if (error != NULL && traceback != NULL) {
        (void) py.PyException_SetTraceback(error, traceback);
    }

    delegate(py.PyTuple_GetItem(plan, PLAN_FAIL), task,
             error != NULL ? error : py.none, NULL);

    if (type != NULL) {
        py.Py_DecRef(type);
    }

    if (error != NULL) {
        py.Py_DecRef(error);
    }

    if (traceback != NULL) {
        py.Py_DecRef(traceback);
    }
}


/* Borrowed; NULL: there is none, and the error is reported. */
static PyObject *
find_entry(PyObject *plan, const nffi_request_t *request)
{
    PyObject *name, *entry;

    if (request->method_size == 0) {
        entry = py.PyTuple_GetItem(plan, PLAN_UNNAMED);

        if (entry != py.none) {
            return entry;
        }
    }

    name = py.PyUnicode_DecodeUTF8(request->method,
                                   (Py_ssize_t) request->method_size,
                                   "replace");
    if (name == NULL) {
        fail(plan, request->task);
        return NULL;
    }

    entry = request->method_size == 0 ? NULL
            : py.PyDict_GetItemWithError(
                  py.PyTuple_GetItem(plan, PLAN_METHODS), name);

    if (entry == NULL) {
        py.PyErr_Clear();
        entry = py.PyTuple_GetItem(plan, PLAN_ANY);
        entry = entry != py.none ? entry : NULL;
    }

    if (entry == NULL) {
        delegate(py.PyTuple_GetItem(plan, PLAN_UNKNOWN), request->task, name,
                 NULL);
    }

    py.Py_DecRef(name);

    return entry;
}


/* A new reference, NULL with an exception. */
static PyObject *
make_argument(PyObject *plan, const nffi_request_t *request, long flags)
{
    PyObject *text, *value;

    if ((flags & ENTRY_JSON) == 0) {
        return py.PyBytes_FromStringAndSize(request->data,
                                            (Py_ssize_t) request->size);
    }

    if (request->size == 0) {
        py.Py_IncRef(py.none);
        return py.none;
    }

    text = py.PyUnicode_DecodeUTF8(request->data, (Py_ssize_t) request->size,
                                   "strict");
    if (text == NULL) {
        return NULL;
    }

    value = call(py.PyTuple_GetItem(plan, PLAN_LOADS), text, NULL);
    py.Py_DecRef(text);

    return value;
}


/* A response that cannot be sent still ends the call. */
static void
respond(nffi_task_t task, const void *data, size_t size)
{
    int rc;
    const char *text;
    PyThreadState *state;

    if (size >= LARGE) {
        state = py.PyEval_SaveThread();
        rc = nffi_respond(task, 0, data, size);
        py.PyEval_RestoreThread(state);

    } else {
        rc = nffi_respond(task, 0, data, size);
    }

    if (rc != NFFI_OK && rc != NFFI_STALE && rc != NFFI_CLOSED) {
        text = nffi_error_text(rc);
        (void) nffi_respond_error(task, text, strlen(text), NULL, 0);
    }
}


static bool
is_json(PyObject *type)
{
    return type == py.dict_type || type == py.list_type || type == py.str_type
           || type == py.int_type || type == py.bool_type
           || type == py.float_type || type == py.tuple_type;
}


static void
respond_result(PyObject *plan, PyObject *entry, nffi_task_t task,
    PyObject *result, long flags)
{
    char *data;
    PyObject *type, *text, *bytes;
    Py_ssize_t size;

    type = py.PyObject_Type(result);
    py.Py_DecRef(type);

    if (flags & ENTRY_JSON) {

        if (result != py.none && !is_json(type)) {
            goto other;
        }

        text = call(py.PyTuple_GetItem(plan, PLAN_DUMPS), result, NULL);

    } else if (result == py.none) {
        respond(task, NULL, 0);
        return;

    } else if (type == py.bytes_type || type == py.str_type) {
        py.Py_IncRef(result);
        text = result;

    } else {
        goto other;
    }

    bytes = text != NULL ? nffi_python_bytes(text, &data, &size) : NULL;

    if (bytes == NULL && text == result) {
        /* half of a surrogate pair, which becomes U+FFFD */
        py.PyErr_Clear();
        py.Py_DecRef(text);
        goto other;
    }

    if (bytes == NULL) {
        fail(plan, task);

    } else {
        respond(task, data, (size_t) size);
        py.Py_DecRef(bytes);
    }

    if (text != NULL) {
        py.Py_DecRef(text);
    }

    return;

other:

    py.Py_IncRef(result);
    delegate(py.PyTuple_GetItem(plan, PLAN_FINISH), task, entry, result);
}


void
nffi_python_call(PyObject *plan, const nffi_request_t *request)
{
    long flags;
    PyObject *entry, *handle, *argument, *result, *context = NULL;
    nffi_task_t outer = current, task = request->task;

    entry = find_entry(plan, request);

    if (entry == NULL) {
        return;
    }

    flags = py.PyLong_AsLong(py.PyTuple_GetItem(entry, ENTRY_FLAGS));
    current = task;
    argument = make_argument(plan, request, flags);

    if (argument == NULL) {
        fail(plan, task);
        goto done;
    }

    if (flags & ENTRY_BEGIN) {
        delegate(py.PyTuple_GetItem(plan, PLAN_BEGIN), task, entry, argument);
        goto done;
    }

    if (flags & ENTRY_CONTEXT) {
        handle = py.PyLong_FromUnsignedLongLong(task);
        context = handle != NULL
                  ? call(py.PyTuple_GetItem(plan, PLAN_CONTEXT), handle, NULL)
                  : NULL;

        if (handle != NULL) {
            py.Py_DecRef(handle);
        }

        if (context == NULL) {
            py.Py_DecRef(argument);
            fail(plan, task);
            goto done;
        }
    }

    result = call(py.PyTuple_GetItem(entry, ENTRY_FUNCTION),
                  flags & ENTRY_NO_ARGUMENT ? NULL : argument, context);
    py.Py_DecRef(argument);

    if (context != NULL) {
        py.Py_DecRef(context);
    }

    if (result == NULL) {
        fail(plan, task);
        goto done;
    }

    respond_result(plan, entry, task, result, flags);
    py.Py_DecRef(result);

done:

    current = outer;
}

/*
 * python_abi.h - the part of CPython's stable ABI that the bridge uses, found
 * by name when it is loaded.
 *
 * The declarations follow the documentation of CPython ("C API Stability", and
 * the entry of each function there). Everything below is part of the stable ABI
 * since 3.9 or earlier, except what is marked optional. So building needs no
 * header of Python, one binary works with every CPython from 3.9 on, and the
 * contents of CPython's structures are never accessed.
 */

#ifndef NFFI_PYTHON_ABI_H
#define NFFI_PYTHON_ABI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <wchar.h>

typedef struct _object PyObject;
typedef struct _ts PyThreadState;
typedef ssize_t Py_ssize_t;

typedef PyObject *(*py_function_pt)(PyObject *self, PyObject *args);

typedef struct {
    const char *name;
    py_function_pt function;
    int flags;
    const char *doc;
} py_method_t;

#define PY_METH_VARARGS 1

/* PyModuleDef with its head, for builds that have a global lock. */
typedef struct {
    Py_ssize_t references;
    void *type;
    void *init;
    Py_ssize_t index;
    void *copy;
    const char *name;
    const char *doc;
    Py_ssize_t size;
    py_method_t *methods;
    void *slots;
    void *traverse;
    void *clear;
    void *free;
} py_module_def_t;

/* The version that extensions of the stable ABI name. */
#define PY_ABI_VERSION 3

#define PY_FUNCTIONS(X) \
    X(void, Py_IncRef, (PyObject *object)) \
    X(void, Py_DecRef, (PyObject *object)) \
    X(PyObject *, PyObject_Type, (PyObject *object)) \
    X(PyObject *, PyObject_GetAttrString, \
      (PyObject *object, const char *name)) \
    X(PyObject *, PyObject_CallFunctionObjArgs, (PyObject *function, ...)) \
    X(PyObject *, PyTuple_GetItem, (PyObject *tuple, Py_ssize_t at)) \
    X(Py_ssize_t, PyTuple_Size, (PyObject *tuple)) \
    X(PyObject *, PyList_New, (Py_ssize_t size)) \
    X(int, PyList_Append, (PyObject *list, PyObject *item)) \
    X(int, PyList_Insert, (PyObject *list, Py_ssize_t at, PyObject *item)) \
    X(PyObject *, PyList_GetItem, (PyObject *list, Py_ssize_t at)) \
    X(PyObject *, PyDict_GetItemWithError, (PyObject *dict, PyObject *key)) \
    X(PyObject *, PyBytes_FromStringAndSize, (const char *s, Py_ssize_t n)) \
    X(int, PyBytes_AsStringAndSize, (PyObject *bytes, char **s, \
        Py_ssize_t *n)) \
    X(PyObject *, PyUnicode_DecodeUTF8, (const char *s, Py_ssize_t n, \
        const char *errors)) \
    X(PyObject *, PyUnicode_AsUTF8String, (PyObject *text)) \
    X(PyObject *, PyUnicode_AsEncodedString, (PyObject *text, \
        const char *encoding, const char *errors)) \
    X(PyObject *, PyUnicode_DecodeFSDefault, (const char *s)) \
    X(long, PyLong_AsLong, (PyObject *number)) \
    X(PyObject *, PyLong_FromLong, (long number)) \
    X(unsigned long long, PyLong_AsUnsignedLongLong, (PyObject *number)) \
    X(PyObject *, PyLong_FromUnsignedLongLong, (unsigned long long number)) \
    X(void *, PyLong_AsVoidPtr, (PyObject *number)) \
    X(PyObject *, PyLong_FromVoidPtr, (void *pointer)) \
    X(PyObject *, PyBool_FromLong, (long truth)) \
    X(PyObject *, PyCapsule_New, (void *pointer, const char *name, \
        void (*destructor)(PyObject *))) \
    X(void *, PyCapsule_GetPointer, (PyObject *capsule, const char *name)) \
    X(PyObject *, PyErr_Occurred, (void)) \
    X(void, PyErr_SetString, (PyObject *type, const char *text)) \
    X(void, PyErr_Fetch, (PyObject **type, PyObject **value, \
        PyObject **traceback)) \
    X(void, PyErr_NormalizeException, (PyObject **type, PyObject **value, \
        PyObject **traceback)) \
    X(int, PyException_SetTraceback, (PyObject *error, PyObject *traceback)) \
    X(void, PyErr_Clear, (void)) \
    X(PyThreadState *, PyEval_SaveThread, (void)) \
    X(void, PyEval_RestoreThread, (PyThreadState *state)) \
    X(int, PyGILState_Ensure, (void)) \
    X(void, PyGILState_Release, (int state)) \
    X(PyObject *, PyModule_Create2, (void *definition, int abi_version)) \
    X(PyObject *, PyImport_ImportModule, (const char *name)) \
    X(int, PyImport_AppendInittab, (const char *name, \
        PyObject *(*init)(void))) \
    X(PyObject *, PySys_GetObject, (const char *name)) \
    X(void, Py_InitializeEx, (int signals)) \
    X(int, Py_IsInitialized, (void)) \
    X(wchar_t *, Py_DecodeLocale, (const char *text, size_t *size))

/*
 * Left NULL where a version does not have them: the vector call is older than
 * its place in the stable ABI (3.12), the name of the program may leave it.
 */
#define PY_OPTIONAL_FUNCTIONS(X) \
    X(PyObject *, PyObject_Vectorcall, (PyObject *function, \
        PyObject *const *args, size_t n, PyObject *names)) \
    X(void, Py_SetProgramName, (const wchar_t *name)) \
    X(void *, PyInitConfig_Create, (void)) \
    X(void, PyInitConfig_Free, (void *config)) \
    X(int, PyInitConfig_SetInt, (void *config, const char *name, \
        int64_t value)) \
    X(int, PyInitConfig_SetStr, (void *config, const char *name, \
        const char *value)) \
    X(int, PyInitConfig_GetError, (void *config, const char **text)) \
    X(int, Py_InitializeFromInitConfig, (void *config))

/* Variables: X(name of the member, symbol). */
#define PY_OBJECTS(X) \
    X(none, _Py_NoneStruct) \
    X(bytes_type, PyBytes_Type) \
    X(str_type, PyUnicode_Type) \
    X(dict_type, PyDict_Type) \
    X(list_type, PyList_Type) \
    X(tuple_type, PyTuple_Type) \
    X(int_type, PyLong_Type) \
    X(float_type, PyFloat_Type) \
    X(bool_type, PyBool_Type)

#define PY_EXCEPTIONS(X) \
    X(value_error, PyExc_ValueError) \
    X(type_error, PyExc_TypeError) \
    X(runtime_error, PyExc_RuntimeError)

struct nffi_python {
#define PY_MEMBER(result, name, args) result (*name) args;
    PY_FUNCTIONS(PY_MEMBER)
    PY_OPTIONAL_FUNCTIONS(PY_MEMBER)
#undef PY_MEMBER
#define PY_MEMBER(name, symbol) PyObject *name;
    PY_OBJECTS(PY_MEMBER)
#undef PY_MEMBER
    /* where CPython keeps the classes; set when the interpreter starts */
#define PY_MEMBER(name, symbol) PyObject **name;
    PY_EXCEPTIONS(PY_MEMBER)
#undef PY_MEMBER
};

/* Filled in once, before any other thread can use it. */
extern struct nffi_python py;

/*
 * Looks the names up, `handle` as for dlsym(). NULL, or the name that is
 * missing: this is no CPython of 3.9 or later. thread: any, once; blocks: no
 */
const char *nffi_python_bind(void *handle);

#endif /* NFFI_PYTHON_ABI_H */

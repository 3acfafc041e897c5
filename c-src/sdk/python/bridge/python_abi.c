/*
 * python_abi.c - finds CPython's functions by name.
 */

#define _GNU_SOURCE

#include "python_abi.h"

#include <dlfcn.h>


struct nffi_python py;


const char *
nffi_python_bind(void *handle)
{
    void *symbol;

#define PY_FIND(result, name, args) \
    symbol = dlsym(handle, #name); \
    if (symbol == NULL) { \
        return #name; \
    } \
    py.name = (result (*) args) symbol;

    PY_FUNCTIONS(PY_FIND)
#undef PY_FIND

#define PY_FIND(result, name, args) \
    py.name = (result (*) args) dlsym(handle, #name);

    PY_OPTIONAL_FUNCTIONS(PY_FIND)
#undef PY_FIND

#define PY_FIND(name, symbol_name) \
    symbol = dlsym(handle, #symbol_name); \
    if (symbol == NULL) { \
        return #symbol_name; \
    } \
    py.name = symbol;

    PY_OBJECTS(PY_FIND)
    PY_EXCEPTIONS(PY_FIND)
#undef PY_FIND

    return NULL;
}

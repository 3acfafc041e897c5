/*
 * find.h - which libpython belongs to an interpreter.
 */

#ifndef NFFI_PYTHON_FIND_H
#define NFFI_PYTHON_FIND_H

#include <stddef.h>

/* PATH_MAX: no longer name is that of a file. */
#define NFFI_PYTHON_PATH 4096

typedef struct nffi_python_place {
    char program[NFFI_PYTHON_PATH];   /* as named: a venv is told by it */
    char library[NFFI_PYTHON_PATH];
} nffi_python_place_t;

/*
 * Fills in the place. `program`: absolute, or NULL for that of VIRTUAL_ENV, or
 * the system's. 0; -1 with the reason in `error`. thread: any; blocks: a few
 * looks at the file system
 */
int nffi_python_find(const char *program, nffi_python_place_t *place,
    char *error, size_t error_size);

#endif /* NFFI_PYTHON_FIND_H */

/*
 * find.h - which libpython belongs to an interpreter.
 */

#ifndef NFFI_PYTHON_FIND_H
#define NFFI_PYTHON_FIND_H

#include <stddef.h>

/* PATH_MAX: a longer name cannot be a file. */
#define NFFI_PYTHON_PATH 4096

typedef struct nffi_python_place {
    char program[NFFI_PYTHON_PATH];   /* as named: the path identifies a venv */
    char library[NFFI_PYTHON_PATH];
} nffi_python_place_t;

/*
 * Fills in the location. `program`: absolute, or NULL for the one in
 * VIRTUAL_ENV, or the system's. Returns 0; -1 with the reason in `error`.
 * thread: any; blocks: a few accesses to the file system
 */
int nffi_python_find(const char *program, nffi_python_place_t *place,
    char *error, size_t error_size);

#endif /* NFFI_PYTHON_FIND_H */

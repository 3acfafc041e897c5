/*
 * find.c - which libpython belongs to an interpreter: a virtual environment
 * names the Python that it was made of (pyvenv.cfg), and that one's prefix has
 * the library, and the standard library without which Python would end the
 * worker when it starts.
 */

#define _GNU_SOURCE

#include "find.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <limits.h>

#ifdef __x86_64__
#define MULTIARCH "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#else
#define MULTIARCH "unknown"
#endif


static const char *const programs[] = {
    "/usr/local/bin/python3", "/usr/bin/python3", NULL
};

static const char *const folders[] = {
    "lib", "lib64", "lib/" MULTIARCH, NULL
};

/* The newest first, if nothing specifies the version. */
#define NEWEST_MINOR 30
#define OLDEST_MINOR 9


/* Whether it has fitted: a path that was cut is another one. */
__attribute__((format(printf, 3, 4)))
static int
put(char *path, size_t size, const char *format, ...)
{
    int n;
    va_list args;

    va_start(args, format);
    n = vsnprintf(path, size, format, args);
    va_end(args);

    return n >= 0 && (size_t) n < size;
}


/* Cuts the last part of a path off. */
static void
parent(char *path)
{
    char *slash = strrchr(path, '/');

    if (slash != NULL) {
        *(slash == path ? slash + 1 : slash) = '\0';
    }
}


/* The value of a line `name = value` of the pyvenv.cfg beside, or above, the
   directory of `program`. */
static int
venv_value(const char *program, const char *name, char *value, size_t size)
{
    int level, found = 0;
    char folder[NFFI_PYTHON_PATH], path[NFFI_PYTHON_PATH + 16], line[2048];
    FILE *file;
    char *text, *end;
    size_t name_size = strlen(name);

    (void) put(folder, sizeof(folder), "%s", program);

    for (level = 0; level < 2 && !found; level++) {
        parent(folder);
        file = put(path, sizeof(path), "%s/pyvenv.cfg", folder)
               ? fopen(path, "re") : NULL;

        while (file != NULL && !found && fgets(line, sizeof(line), file)) {
            text = line + strspn(line, " \t");

            if (strncmp(text, name, name_size) != 0) {
                continue;
            }

            text += name_size;
            text += strspn(text, " \t");

            if (*text != '=') {
                continue;
            }

            text += 1 + strspn(text + 1, " \t");
            end = text + strcspn(text, "\r\n");

            while (end > text && (end[-1] == ' ' || end[-1] == '\t')) {
                end--;
            }

            *end = '\0';
            found = put(value, size, "%s", text);
        }

        if (file != NULL) {
            fclose(file);
        }
    }

    return found;
}


/* "3.11" of "python3.11" or of "3.11.7": its minor number, or -1. */
static int
minor_of(const char *text)
{
    int minor;
    const char *at = strstr(text, "3.");

    if (at == NULL || sscanf(at, "3.%d", &minor) != 1 || minor < 0
        || minor > 99)
    {
        return -1;
    }

    return minor;
}


static int
has_standard_library(const char *prefix, int minor)
{
    int i;
    char landmark[NFFI_PYTHON_PATH];

    for (i = 0; folders[i] != NULL; i++) {
        if (put(landmark, sizeof(landmark),
                "%s/%s/python3.%d/encodings/__init__.py", prefix, folders[i],
                minor)
            && access(landmark, R_OK) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* Whether this version is in `prefix`, with its standard library. */
static int
try_version(const char *prefix, int minor, char *library, size_t size)
{
    int i;

    if (!has_standard_library(prefix, minor)) {
        return 0;
    }

    for (i = 0; folders[i] != NULL; i++) {
        if (put(library, size, "%s/%s/libpython3.%d.so.1.0", prefix,
                folders[i], minor)
            && access(library, R_OK) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static int
choose_program(const char *program, char *chosen, size_t size)
{
    int i;
    const char *venv;

    if (program != NULL) {
        return put(chosen, size, "%s", program) && access(chosen, X_OK) == 0;
    }

    venv = getenv("VIRTUAL_ENV");

    if (venv != NULL) {
        if (put(chosen, size, "%s/bin/python", venv)
            && access(chosen, X_OK) == 0)
        {
            return 1;
        }
    }

    for (i = 0; programs[i] != NULL; i++) {
        if (put(chosen, size, "%s", programs[i])
            && access(chosen, X_OK) == 0)
        {
            return 1;
        }
    }

    return 0;
}


int
nffi_python_find(const char *program, nffi_python_place_t *place, char *error,
    size_t error_size)
{
    int minor, known;
    char real[PATH_MAX], prefix[PATH_MAX], text[NFFI_PYTHON_PATH];

    if (!choose_program(program, place->program, sizeof(place->program))
        || realpath(place->program, real) == NULL)
    {
        snprintf(error, error_size, "no Python that this user may run: %.400s; "
                 "name one with { program = \"/path/of/venv/bin/python\" }",
                 place->program);
        return -1;
    }

    known = minor_of(strrchr(real, '/'));
    (void) put(prefix, sizeof(prefix), "%s", real);

    if (venv_value(place->program, "home", text, sizeof(text))) {
        char base[NFFI_PYTHON_PATH + 16];

        if (known == -1
            && (venv_value(place->program, "version", real, sizeof(real))
                || venv_value(place->program, "version_info", real,
                              sizeof(real))))
        {
            known = minor_of(real);
        }

        /* the interpreter of `home`, wherever its links lead */
        if (!put(base, sizeof(base), "%s/python3", text)
            || realpath(base, prefix) == NULL)
        {
            (void) put(prefix, sizeof(prefix), "%s/python3", text);
        }
    }

    parent(prefix);
    parent(prefix);

    for (minor = known != -1 ? known : NEWEST_MINOR;
         minor >= (known != -1 ? known : OLDEST_MINOR); minor--)
    {
        if (try_version(prefix, minor, place->library,
                        sizeof(place->library)))
        {
            return 0;
        }
    }

    if (known != -1) {
        (void) put(text, sizeof(text), "libpython3.%d.so.1.0", known);

    } else {
        (void) put(text, sizeof(text), "libpython3.*.so.1.0");
    }

    snprintf(error, error_size, "%.200s has no shared library of Python: no %s "
             "in %.200s/{lib,lib64,lib/" MULTIARCH "} (Debian: the package "
             "libpython3-dev or libpython3.N; pyenv: --enable-shared); "
             "or run it as a process: host = \"process\"", place->program,
             text, prefix);

    return -1;
}

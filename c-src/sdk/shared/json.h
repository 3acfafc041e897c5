/*
 * json.h - how the bridges read the few members of a runtime's configuration
 * that they need: before there is an interpreter or a virtual machine, which
 * reads the rest. Nothing is allocated.
 */

#ifndef NFFI_SHARED_JSON_H
#define NFFI_SHARED_JSON_H

#include <stdbool.h>
#include <stddef.h>

typedef struct nffi_json {
    const char *at;
    const char *end;
} nffi_json_t;

/*
 * Finds a member of a JSON object, the first of this name, and sets `value` to
 * its value. Returns 1, 0 if there is none, or -1 if the text before it is not
 * a JSON object. What is skipped is not checked otherwise.
 * thread: any; blocks: no
 */
__attribute__((visibility("hidden")))
int nffi_json_find(const char *text, size_t size, const char *name,
    nffi_json_t *value);

/* Whether the next character, blanks apart, is `c`. */
__attribute__((visibility("hidden")))
bool nffi_json_is(nffi_json_t *json, char c);

/* The same, and passes it. */
__attribute__((visibility("hidden")))
bool nffi_json_takes(nffi_json_t *json, char c);

/*
 * Reads a string as UTF-8, with a NUL at its end, and passes it. `size` bytes
 * are enough if they are more than `json` has. Returns the length, or -1: it is
 * no string, has an invalid escape or a NUL, or does not fit.
 */
__attribute__((visibility("hidden")))
int nffi_json_string(nffi_json_t *json, char *string, size_t size);

#endif /* NFFI_SHARED_JSON_H */

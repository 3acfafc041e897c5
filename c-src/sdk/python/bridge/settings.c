/*
 * settings.c - finds a string in a configuration in JSON. Other values are
 * skipped, not checked: Python reads them.
 */

#include "settings.h"

#include <string.h>


/* Over a string, from its quote to behind its other quote. */
static const char *
skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if (*at == '\\') {
            at++;
        }
    }

    return at < end ? at + 1 : end;
}


/* The number of four hexadecimal digits, or -1. */
static long
hex4(const char *at, const char *end)
{
    int i;
    long number = 0;
    const char *digit;
    static const char digits[] = "0123456789abcdefABCDEF";

    for (i = 0; i < 4; i++) {
        digit = at + i < end && at[i] != '\0' ? strchr(digits, at[i]) : NULL;

        if (digit == NULL) {
            return -1;
        }

        number = number * 16 + (digit - digits < 16 ? digit - digits
                                                    : digit - digits - 6);
    }

    return number;
}


/* The character whose \u escape has its digits at `*at`, which is moved to the
   last one of them, and of the second half of a pair; -1: it is none. */
static long
escaped(const char **at, const char *end)
{
    long low, code = hex4(*at, end);

    *at += 3;

    if (code < 0xd800 || code > 0xdfff) {
        return code;
    }

    if (code > 0xdbff || end - *at < 7 || (*at)[1] != '\\'
        || (*at)[2] != 'u')
    {
        return -1;
    }

    low = hex4(*at + 3, end);
    *at += 6;

    return low < 0xdc00 || low > 0xdfff ? -1
           : 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}


/* Bytes of the character as UTF-8. */
static size_t
put_utf8(long code, char *bytes)
{
    size_t i, n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

    for (i = n - 1; i > 0; i--) {
        bytes[i] = (char) (0x80 | (code & 0x3f));
        code >>= 6;
    }

    bytes[0] = (char) (first[n] | code);

    return n;
}


/* A string without its quotes: 1, or -1 when it does not fit, or is none. */
static int
copy_string(const char *at, const char *end, char *value, size_t size)
{
    char bytes[4];
    long code;
    size_t length, n = 0;
    const char *letter;
    static const char letters[] = "/\\\"bfnrt", meant[] = "/\\\"\b\f\n\r\t";

    /* its last quote is missing */
    if (end - at < 2 || end[-1] != '"') {
        return -1;
    }

    for (at++, end--; at < end; at++) {
        bytes[0] = *at;
        length = 1;

        if (*at == '\\' && ++at < end && *at == 'u') {
            at++;
            code = escaped(&at, end);

            if (code <= 0) {
                return -1;
            }

            length = put_utf8(code, bytes);

        } else if (bytes[0] == '\\') {
            letter = at < end && *at != '\0' ? strchr(letters, *at) : NULL;

            if (letter == NULL) {
                return -1;
            }

            bytes[0] = meant[letter - letters];
        }

        if (bytes[0] == '\0' || n + length >= size) {
            return -1;
        }

        memcpy(value + n, bytes, length);
        n += length;
    }

    value[n] = '\0';

    return n > 0 ? 1 : -1;
}


int
nffi_python_setting(const char *config, size_t config_size, const char *name,
    char *value, size_t size)
{
    int depth = 0;
    const char *at, *next, *key = NULL, *end = config + config_size;
    size_t name_size = strlen(name), key_size = 0;

    for (at = config; at < end; at = next) {
        next = at + 1;

        switch (*at) {
        case '{':
        case '[':
            depth++;
            key = NULL;
            break;

        case '}':
        case ']':
            depth--;
            break;

        case ',':
            key = NULL;
            break;

        case '"':
            next = skip_string(at, end);

            if (depth != 1) {
                break;
            }

            if (key == NULL) {
                key = at + 1;
                key_size = (size_t) (next - at) - 2;

            } else if (key_size == name_size
                       && memcmp(key, name, name_size) == 0)
            {
                return copy_string(at, next, value, size);
            }
        }
    }

    return 0;
}

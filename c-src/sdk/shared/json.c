/*
 * json.c - reads members of a JSON object.
 */

#include "json.h"

#include <limits.h>
#include <string.h>

#define MAX_NAME 64           /* bytes of a member's name that is looked for */

#define LAST_OF_BMP 0xffff


bool
nffi_json_is(nffi_json_t *json, char c)
{
    while (json->at < json->end
           && (*json->at == ' ' || *json->at == '\t' || *json->at == '\r'
               || *json->at == '\n'))
    {
        json->at++;
    }

    return json->at < json->end && *json->at == c;
}


bool
nffi_json_takes(nffi_json_t *json, char c)
{
    if (!nffi_json_is(json, c)) {
        return false;
    }

    json->at++;

    return true;
}


/* Returns the number of four hexadecimal digits, or -1, and passes them. */
static long
take_hex4(nffi_json_t *json)
{
    int i;
    long number = 0;
    const char *digit;
    static const char digits[] = "0123456789abcdefABCDEF";

    if (json->end - json->at < 4) {
        return -1;
    }

    for (i = 0; i < 4; i++) {
        digit = memchr(digits, *json->at++, sizeof(digits) - 1);

        if (digit == NULL) {
            return -1;
        }

        number = number * 16 + (digit - digits < 16 ? digit - digits
                                                    : digit - digits - 6);
    }

    return number;
}


/* Returns the character whose digits follow "\u", or -1. Two halves of a pair
   are one character; a single half is none. */
static long
take_code(nffi_json_t *json)
{
    long low, code = take_hex4(json);

    if (code < 0xd800 || code > 0xdfff) {
        return code;
    }

    if (code > 0xdbff || json->end - json->at < 2 || json->at[0] != '\\'
        || json->at[1] != 'u')
    {
        return -1;
    }

    json->at += 2;
    low = take_hex4(json);

    return low < 0xdc00 || low > 0xdfff
           ? -1 : LAST_OF_BMP + 1 + ((code - 0xd800) << 10) + (low - 0xdc00);
}


/* Returns the bytes of the character as UTF-8. */
static size_t
put_utf8(long code, char *bytes)
{
    size_t i, n = code < 0x80 ? 1 : code < 0x800 ? 2
                                  : code <= LAST_OF_BMP ? 3 : 4;
    static const unsigned char first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

    for (i = n - 1; i > 0; i--) {
        bytes[i] = (char) (0x80 | (code & 0x3f));
        code >>= 6;
    }

    bytes[0] = (char) (first[n] | code);

    return n;
}


/* Returns the bytes of the next character of a string, or 0. */
static size_t
take_character(nffi_json_t *json, char *bytes)
{
    long code;
    const char *letter;
    static const char letters[] = "/\\\"bfnrt", meant[] = "/\\\"\b\f\n\r\t";

    if (*json->at != '\\') {
        bytes[0] = *json->at++;
        return bytes[0] != '\0' ? 1 : 0;
    }

    json->at++;

    if (json->at == json->end) {
        return 0;
    }

    if (*json->at == 'u') {
        json->at++;
        code = take_code(json);
        return code > 0 ? put_utf8(code, bytes) : 0;
    }

    letter = memchr(letters, *json->at++, sizeof(letters) - 1);

    if (letter == NULL) {
        return 0;
    }

    bytes[0] = meant[letter - letters];

    return 1;
}


int
nffi_json_string(nffi_json_t *json, char *string, size_t size)
{
    char bytes[4];
    size_t length, n = 0;
    nffi_json_t at;

    if (!nffi_json_is(json, '"')) {
        return -1;
    }

    at = *json;
    at.at++;

    while (at.at < at.end && *at.at != '"') {
        length = take_character(&at, bytes);

        if (length == 0 || n + length >= size || n > INT_MAX - sizeof(bytes)) {
            return -1;
        }

        memcpy(string + n, bytes, length);
        n += length;
    }

    if (at.at == at.end || size == 0) {
        return -1;
    }

    string[n] = '\0';
    json->at = at.at + 1;

    return (int) n;
}


static bool
skip_string(nffi_json_t *json)
{
    if (!nffi_json_takes(json, '"')) {
        return false;
    }

    while (json->at < json->end && *json->at != '"') {
        json->at += *json->at == '\\' && json->end - json->at > 1 ? 2 : 1;
    }

    return nffi_json_takes(json, '"');
}


/* A number, or true, false and null. */
static bool
is_of_word(char c)
{
    switch (c) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ',':
    case ':':
    case '[':
    case ']':
    case '{':
    case '}':
    case '"':
        return false;
    default:
        return true;
    }
}


static bool
skip_word(nffi_json_t *json)
{
    const char *start = json->at;

    while (json->at < json->end && is_of_word(*json->at)) {
        json->at++;
    }

    return json->at > start;
}


static bool
takes_either(nffi_json_t *json, char one, char other)
{
    return nffi_json_takes(json, one) || nffi_json_takes(json, other);
}


/* Brackets are counted, not matched: no depth is too much. */
static bool
skip_value(nffi_json_t *json)
{
    size_t depth = 0;

    do {
        if (takes_either(json, '[', '{')) {
            depth++;

        } else if (depth > 0 && takes_either(json, ']', '}')) {
            depth--;

        } else if (depth > 0 && takes_either(json, ',', ':')) {
            continue;

        } else if (!(nffi_json_is(json, '"') ? skip_string(json)
                                             : skip_word(json)))
        {
            return false;
        }
    } while (depth > 0);

    return true;
}


int
nffi_json_find(const char *text, size_t size, const char *name,
    nffi_json_t *value)
{
    char found[MAX_NAME];
    nffi_json_t key, json = { text, text + size };

    if (!nffi_json_takes(&json, '{')) {
        return -1;
    }

    if (nffi_json_takes(&json, '}')) {
        return 0;
    }

    do {
        key = json;

        if (!skip_string(&json) || !nffi_json_takes(&json, ':')) {
            return -1;
        }

        if (nffi_json_string(&key, found, sizeof(found)) > 0
            && strcmp(found, name) == 0)
        {
            *value = json;
            return 1;
        }

        if (!skip_value(&json)) {
            return -1;
        }
    } while (nffi_json_takes(&json, ','));

    return nffi_json_takes(&json, '}') ? 0 : -1;
}

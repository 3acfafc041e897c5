/*
 * settings.c - finds the homes of Java and "jvm_args" in a JSON configuration.
 * Other values are skipped, not checked: Java reads them.
 */

#include "settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 1000

typedef struct reader {
    const char *at;
    const char *end;
} reader_t;


static void
skip_blanks(reader_t *reader)
{
    while (reader->at < reader->end && strchr(" \t\r\n", *reader->at)
           && *reader->at != '\0')
    {
        reader->at++;
    }
}


static int
takes(reader_t *reader, char c)
{
    skip_blanks(reader);

    if (reader->at == reader->end || *reader->at != c) {
        return 0;
    }

    reader->at++;

    return 1;
}


static void
put_utf8(char **out, unsigned int c)
{
    if (c < 0x80) {
        *(*out)++ = (char) c;

    } else if (c < 0x800) {
        *(*out)++ = (char) (0xc0 | c >> 6);
        *(*out)++ = (char) (0x80 | (c & 0x3f));

    } else {
        *(*out)++ = (char) (0xe0 | c >> 12);
        *(*out)++ = (char) (0x80 | (c >> 6 & 0x3f));
        *(*out)++ = (char) (0x80 | (c & 0x3f));
    }
}


/* after the backslash; 0: no escape is like this */
static int
take_escape(reader_t *reader, char **out)
{
    char digits[5], *last;
    const char *found;
    unsigned int c;
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";

    if (reader->at == reader->end || *reader->at == '\0') {
        return 0;
    }

    found = strchr(names, *reader->at);

    if (found) {
        *(*out)++ = values[found - names];
        reader->at++;
        return 1;
    }

    if (*reader->at != 'u' || reader->end - reader->at < 5) {
        return 0;
    }

    memcpy(digits, reader->at + 1, 4);
    digits[4] = '\0';
    c = (unsigned int) strtoul(digits, &last, 16);

    /* an option cannot hold NUL */
    if (last != digits + 4 || c == 0) {
        return 0;
    }

    put_utf8(out, c);
    reader->at += 5;

    return 1;
}


/* A string, malloc'ed; NULL: there is none, or no memory. */
static char *
take_string(reader_t *reader)
{
    char *string, *out;

    if (!takes(reader, '"')) {
        return NULL;
    }

    string = malloc((size_t) (reader->end - reader->at) + 1);
    if (string == NULL) {
        return NULL;
    }

    out = string;

    while (reader->at < reader->end && *reader->at != '"') {
        if (*reader->at != '\\') {
            *out++ = *reader->at++;
            continue;
        }

        reader->at++;

        if (!take_escape(reader, &out)) {
            break;
        }
    }

    *out = '\0';

    if (!takes(reader, '"')) {
        free(string);
        return NULL;
    }

    return string;
}


/* 0: no JSON. Brackets are counted, not matched. */
static int
skip_value(reader_t *reader)
{
    char *string;
    int depth = 0;

    do {
        skip_blanks(reader);

        if (reader->at == reader->end || depth > MAX_DEPTH) {
            return 0;
        }

        if (*reader->at == '"') {
            string = take_string(reader);
            if (string == NULL) {
                return 0;
            }

            free(string);

        } else if (strchr("[{", *reader->at)) {
            depth++;
            reader->at++;

        } else if (strchr("]}", *reader->at)) {
            depth--;
            reader->at++;

        } else if (strchr(",:", *reader->at)) {
            reader->at++;

        } else {
            while (reader->at < reader->end
                   && !strchr(" \t\r\n,:]}", *reader->at))
            {
                reader->at++;
            }
        }
    } while (depth > 0);

    return depth == 0;
}


static int
take_options(nffi_java_settings_t *settings, reader_t *reader)
{
    char *option;

    settings->has_options = 1;

    if (!takes(reader, '[')) {
        return 0;
    }

    /* cjson writes an empty table as {} or []; both are accepted here */
    if (takes(reader, ']')) {
        return 1;
    }

    do {
        option = take_string(reader);

        if (option == NULL
            || settings->options_count == NFFI_JAVA_MAX_OPTIONS)
        {
            free(option);
            return 0;
        }

        settings->options[settings->options_count++] = option;
    } while (takes(reader, ','));

    return takes(reader, ']');
}


static int
take_member(nffi_java_settings_t *settings, reader_t *reader)
{
    int taken;
    char *name = take_string(reader);

    if (name == NULL || !takes(reader, ':')) {
        taken = 0;

    } else if (strcmp(name, "jvm_args") == 0 && settings->options_count == 0) {
        skip_blanks(reader);
        taken = reader->at < reader->end && *reader->at == '['
                ? take_options(settings, reader) : skip_value(reader);

    } else if (strcmp(name, "java_home") == 0 && settings->java_home == NULL) {
        settings->java_home = take_string(reader);
        taken = settings->java_home != NULL;

    } else if (strcmp(name, "default_java_home") == 0
               && settings->default_java_home == NULL)
    {
        settings->default_java_home = take_string(reader);
        taken = settings->default_java_home != NULL;

    } else {
        taken = skip_value(reader);
    }

    free(name);

    return taken;
}


int
nffi_java_settings_read(nffi_java_settings_t *settings, const char *text,
    size_t size, char *error, size_t error_size)
{
    reader_t reader = { text, text + size };

    memset(settings, 0, sizeof(*settings));

    if (!takes(&reader, '{')) {
        if (reader.at < reader.end && *reader.at != ',') {
            return 0;
        }

        (void) snprintf(error, error_size, "the configuration is \"class,"
                        "function,configuration\" or {\"module\": \"class\"}");
        return -1;
    }

    if (takes(&reader, '}')) {
        return 0;
    }

    do {
        if (!take_member(settings, &reader)) {
            (void) snprintf(error, error_size, "the configuration is no JSON, "
                            "or its jvm_args are not at most %d strings",
                            NFFI_JAVA_MAX_OPTIONS);
            return -1;
        }
    } while (takes(&reader, ','));

    return 0;
}


void
nffi_java_settings_free(nffi_java_settings_t *settings)
{
    size_t i;

    free(settings->java_home);
    free(settings->default_java_home);

    for (i = 0; i < settings->options_count; i++) {
        free(settings->options[i]);
    }

    memset(settings, 0, sizeof(*settings));
}


int
nffi_java_settings_equal(const nffi_java_settings_t *one,
    const nffi_java_settings_t *other)
{
    size_t i;

    if (one->options_count != other->options_count
        || strcmp(one->java_home ? one->java_home : "",
                  other->java_home ? other->java_home : "") != 0)
    {
        return 0;
    }

    for (i = 0; i < one->options_count; i++) {
        if (strcmp(one->options[i], other->options[i]) != 0) {
            return 0;
        }
    }

    return 1;
}

/*
 * settings.c - finds the homes of Java and "jvm_args" in a JSON configuration.
 * Other values are skipped, not checked: Java reads them.
 */

#include "settings.h"
#include "../../shared/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* A string, malloc'ed; NULL: there is none, or no memory. */
static char *
take_string(nffi_json_t *json)
{
    size_t size = (size_t) (json->end - json->at) + 1;
    char *string = malloc(size);

    if (string != NULL && nffi_json_string(json, string, size) < 0) {
        free(string);
        string = NULL;
    }

    return string;
}


static bool
read_home(const char *text, size_t size, const char *name, char **home)
{
    nffi_json_t json;
    int found = nffi_json_find(text, size, name, &json);

    *home = found == 1 ? take_string(&json) : NULL;

    return found == 0 || *home != NULL;
}


static bool
read_options(const char *text, size_t size, nffi_java_settings_t *settings)
{
    char *option;
    nffi_json_t json;
    int found = nffi_json_find(text, size, "jvm_args", &json);

    /* cjson writes an empty table as {} or [] */
    if (found != 1 || !nffi_json_takes(&json, '[')) {
        return found != -1;
    }

    settings->has_options = 1;

    if (nffi_json_takes(&json, ']')) {
        return true;
    }

    do {
        option = take_string(&json);

        if (option == NULL
            || settings->options_count == NFFI_JAVA_MAX_OPTIONS)
        {
            free(option);
            return false;
        }

        settings->options[settings->options_count++] = option;
    } while (nffi_json_takes(&json, ','));

    return nffi_json_takes(&json, ']');
}


int
nffi_java_settings_read(nffi_java_settings_t *settings, const char *text,
    size_t size, char *error, size_t error_size)
{
    nffi_json_t json = { text, text + size };

    memset(settings, 0, sizeof(*settings));

    if (!nffi_json_is(&json, '{')) {
        if (json.at < json.end && *json.at != ',') {
            return 0;
        }

        (void) snprintf(error, error_size, "the configuration is \"class,"
                        "function,configuration\" or {\"module\": \"class\"}");
        return -1;
    }

    if (!read_home(text, size, "java_home", &settings->java_home)
        || !read_home(text, size, "default_java_home",
                      &settings->default_java_home)
        || !read_options(text, size, settings))
    {
        (void) snprintf(error, error_size, "the configuration is no JSON, "
                        "or its jvm_args are not at most %d strings",
                        NFFI_JAVA_MAX_OPTIONS);
        return -1;
    }

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

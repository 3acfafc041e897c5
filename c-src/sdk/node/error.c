/*
 * error.c - the addon: codes of nffi.h as errors of JavaScript.
 */

#include "addon.h"

#include <stdio.h>


void
addon_throw_code(napi_env env, int code, const char *what)
{
    char message[160];

    snprintf(message, sizeof(message), "%s: %s", what, nffi_error_text(code));
    napi_throw_error(env, nffi_error_name(code), message);
}

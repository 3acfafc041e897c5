/*
 * error.c - names and texts of the error codes; the table is in nffi.h.
 */

#include "nffi.h"

const char *
nffi_error_name(int code)
{
    switch (code) {
    case NFFI_OK:
        return "NFFI_OK";
#define NFFI_ERROR_NAME(name, value, text) case name: return #name;
    NFFI_ERRORS(NFFI_ERROR_NAME)
#undef NFFI_ERROR_NAME
    default:
        return "NFFI_UNKNOWN";
    }
}


const char *
nffi_error_text(int code)
{
    switch (code) {
    case NFFI_OK:
        return "success";
#define NFFI_ERROR_TEXT(name, value, text) case name: return text;
    NFFI_ERRORS(NFFI_ERROR_TEXT)
#undef NFFI_ERROR_TEXT
    default:
        return "unknown error";
    }
}


uint32_t
nffi_abi_version(void)
{
    return NFFI_ABI_VERSION;
}

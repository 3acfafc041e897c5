/*
 * test_error.c - names and texts of error codes.
 */

#include "check.h"
#include "nffi.h"


static void
names_every_code(void)
{
#define SAME(code, value, text) \
    CHECK_IS(code, value); \
    CHECK(strcmp(nffi_error_name(code), #code) == 0); \
    CHECK(strcmp(nffi_error_text(value), text) == 0);
    NFFI_ERRORS(SAME)
#undef SAME

    CHECK(strcmp(nffi_error_name(0), "NFFI_OK") == 0);
    CHECK(strcmp(nffi_error_text(0), "success") == 0);
}


static void
never_returns_null(void)
{
    int code;

    for (code = -200; code < 200; code++) {
        CHECK(nffi_error_name(code) != NULL);
        CHECK(nffi_error_text(code) != NULL);
    }

    CHECK(strcmp(nffi_error_name(1), "NFFI_UNKNOWN") == 0);
    CHECK(strcmp(nffi_error_text(-1000), "unknown error") == 0);
}


static void
returns_its_abi(void)
{
    CHECK_IS(nffi_abi_version(), NFFI_ABI_VERSION);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "every code has its name and text", names_every_code },
        { "an unknown code has a name and text too", never_returns_null },
        { "the ABI version is the header's", returns_its_abi },
    };

    return CHECK_MAIN(argc, argv, cases);
}

/*
 * test_json.c - the members that a bridge reads of a configuration, of JSON
 * that is right or wrong.
 */

#include "check.h"

#include "../json.c"


/* Finds `name`, reads it as a string of up to 15 bytes. NULL: it is none. Each
   text has its own memory, so that a sanitizer sees what is read behind it. */
static void
string_is(const char *text, const char *expected)
{
    int n;
    char string[16] = "";
    size_t size = strlen(text);
    char *copy = malloc(size > 0 ? size : 1);
    nffi_json_t json;

    memcpy(copy, text, size);
    n = nffi_json_find(copy, size, "name", &json) == 1
        ? nffi_json_string(&json, string, sizeof(string)) : -1;
    free(copy);

    CHECK_IS(n, expected != NULL ? (int) strlen(expected) : -1);
    CHECK(n == -1 || strcmp(string, expected) == 0);
}


static void
strings_are_found(void)
{
    string_is("{\"name\":\"/a\"}", "/a");
    string_is("{ \"m\" : \"x\" ,\n\"name\" : \"\\/a b\\\"\" }", "/a b\"");
    string_is("{\"c\":{\"name\":\"/no\"},\"name\":\"/a\"}", "/a");
    string_is("{\"c\":[{\"name\":1},[]],\"name\":\"/a\"}", "/a");
    string_is("{\"x\":\"\\\"\",\"y\":-1.5e3,\"name\":\"/a\"}", "/a");
    string_is("{\"n\\u0061me\":\"/a\",\"name\":\"/b\"}", "/a");
    string_is("{\"name\":\"/\\u0041\\u00e9\"}", "/A\xc3\xa9");
    string_is("{\"name\":\"/\\u20AC\\ud83d\\ude00\"}",
              "/\xe2\x82\xac\xf0\x9f\x98\x80");
    string_is("{\"name\":\"/\\t\\n\"}", "/\t\n");
    string_is("{\"name\":\"\"}", "");
    string_is("{\"name\":\"123456789012345\"}", "123456789012345");
}


static void
other_values_are_none(void)
{
    string_is("{\"path\":[\"name\",\"/no\"],\"x\":1}", NULL);
    string_is("{\"x\":\"name\",\"y\":\"/no\"}", NULL);
    string_is("{\"name\":null,\"x\":\"/no\"}", NULL);
    string_is("{\"name\":[\"/no\"]}", NULL);
    string_is("{}", NULL);
    string_is("{\"name\":\"1234567890123456\"}", NULL);
    string_is("{\"name\":\"/\\x\"}", NULL);
    string_is("{\"name\":\"/\\u\"}", NULL);
    string_is("{\"name\":\"/\\u00\"}", NULL);
    string_is("{\"name\":\"/\\u00 4\"}", NULL);
    string_is("{\"name\":\"/\\u0000\"}", NULL);
    string_is("{\"name\":\"/\\ud83d\"}", NULL);
    string_is("{\"name\":\"/\\ud83d\\u0041\"}", NULL);
    string_is("{\"name\":\"/\\ud83d\\n\"}", NULL);
    string_is("{\"name\":\"/\\ude00\"}", NULL);
}


static void
is_no_object(const char *text)
{
    nffi_json_t json;

    CHECK_IS(nffi_json_find(text, strlen(text), "name", &json), -1);
}


static void
what_is_no_object_is_reported(void)
{
    is_no_object("");
    is_no_object("[]");
    is_no_object("class,function,{}");
    is_no_object("{\"a\"}");
    is_no_object("{\"a\":}");
    is_no_object("{\"a\":,\"name\":1}");
    is_no_object("{\"a\":1 \"name\":1}");
    is_no_object("{\"a\":1]");
    is_no_object("{a:1}");
    is_no_object("{\"a\":\"\\");
}


/* However the text is cut, nothing is read behind it, and nothing is found. */
static void
a_text_may_end_anywhere(void)
{
    size_t size;
    char *copy, string[64];
    nffi_json_t json;
    static const char text[] = "{ \"a\" : [ 1, {\"b\":\"\\u20AC\\\\\"} ], \"\":"
                               " true, \"name\" : \"\\ud83d\\ude00\\n/\" }";

    for (size = 0; size < sizeof(text) - 3; size++) {
        copy = malloc(size > 0 ? size : 1);
        memcpy(copy, text, size);
        CHECK(nffi_json_find(copy, size, "name", &json) != 1
              || nffi_json_string(&json, string, sizeof(string)) == -1);
        free(copy);
    }

    CHECK_IS(nffi_json_find(text, size, "name", &json), 1);
    CHECK_IS(nffi_json_string(&json, string, sizeof(string)), 6);
}


static void
values_may_be_nested_deeply(void)
{
    size_t size = 1 << 20;
    char *text = malloc(size);
    nffi_json_t json;

    memset(text, '[', size);
    memcpy(text, "{\"a\":", 5);
    CHECK_IS(nffi_json_find(text, size, "name", &json), -1);
    free(text);
}


int
main(int argc, char **argv)
{
    static const check_case_t cases[] = {
        { "a string of a configuration is found", strings_are_found },
        { "what is no such string is none", other_values_are_none },
        { "what is no object is reported", what_is_no_object_is_reported },
        { "a configuration may end anywhere", a_text_may_end_anywhere },
        { "it may be nested deeply", values_may_be_nested_deeply },
    };

    return CHECK_MAIN(argc, argv, cases);
}

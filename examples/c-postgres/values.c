/* values.c - converts JSON to parameters, and results to JSON. */

#include "values.h"

#include <stdlib.h>
#include <string.h>

#define FLAGS (JSON_COMPACT | JSON_ENCODE_ANY)
#define EXACT 9007199254740992ll    /* Lua's numbers are doubles */

/* of pg_type.dat, and never to change */
enum {
    BOOL = 16,
    INT8 = 20,
    INT2 = 21,
    INT4 = 23,
    JSON = 114,
    FLOAT4 = 700,
    FLOAT8 = 701,
    JSONB = 3802
};


static char *
text_of(const json_t *param)
{
    return json_is_string(param) ? strdup(json_string_value(param))
                                 : json_dumps(param, FLAGS);
}


char **
values_of(const json_t *params)
{
    size_t i, count = json_array_size(params);
    const json_t *param;
    char **values = calloc(count + 1, sizeof(*values));

    for (i = 0; values != NULL && i < count; i++) {
        param = json_array_get(params, i);

        if (json_is_null(param)) {
            continue;
        }

        values[i] = text_of(param);
        if (values[i] == NULL) {
            values_free(values, count);
            return NULL;
        }
    }

    return values;
}


void
values_free(char **values, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        free(values[i]);
    }

    free(values);
}


static json_t *
value_of(const char *text, size_t size, Oid type)
{
    char *end;
    double real;
    long long whole;
    json_t *value = NULL;

    switch (type) {

    case BOOL:
        return json_boolean(text[0] == 't');

    case INT2:
    case INT4:
    case INT8:
        whole = strtoll(text, NULL, 10);
        if (whole >= -EXACT && whole <= EXACT) {
            return json_integer(whole);
        }

        break;

    case FLOAT4:
    case FLOAT8:
        real = strtod(text, &end);
        value = json_real(real);    /* not of an infinity or NaN */
        break;

    case JSON:
    case JSONB:
        value = json_loadb(text, size, JSON_DECODE_ANY, NULL);
    }

    return value != NULL ? value : json_stringn(text, size);
}


json_t *
values_from(const PGresult *result)
{
    int row, column;
    json_t *value, *object, *rows = json_array();

    for (row = 0; row < PQntuples(result); row++) {
        object = json_object();

        for (column = 0; column < PQnfields(result); column++) {
            value = PQgetisnull(result, row, column)
                        ? json_null()
                        : value_of(PQgetvalue(result, row, column),
                                   (size_t) PQgetlength(result, row, column),
                                   PQftype(result, column));
            json_object_set_new(object, PQfname(result, column), value);
        }

        json_array_append_new(rows, object);
    }

    return json_pack("{s:o s:I}", "rows", rows, "affected",
                     (json_int_t) atoll(PQcmdTuples((PGresult *) result)));
}


/* Written straight into memory of the queue: no copy is made. */
void
respond_value(nffi_task_t task, json_t *value)
{
    size_t size = value != NULL ? json_dumpb(value, NULL, 0, FLAGS) : 0;
    void *buffer = size > 0 ? nffi_response_alloc(task, size) : NULL;

    if (buffer == NULL) {
        respond_error(task, "no memory for the response", NULL);

    } else {
        json_dumpb(value, buffer, size, FLAGS);
        nffi_respond_buffer(task, 0, buffer, size);
    }

    json_decref(value);
}


void
respond_error(nffi_task_t task, const char *message, const char *sqlstate)
{
    nffi_respond_error(task, message, strlen(message), sqlstate,
                       sqlstate != NULL ? strlen(sqlstate) : 0);
}

/* values.h - converts JSON to parameters, and results to JSON. */

#ifndef VALUES_H
#define VALUES_H

#include <nffi.h>

#include <jansson.h>
#include <libpq-fe.h>

/*
 * The parameters of a statement as texts, NULL for null. The caller frees them
 * by values_free(). NULL when there is no memory.
 */
char **values_of(const json_t *params);
void values_free(char **values, size_t count);

/*
 * Returns { rows = [ { column = value } ], affected = n }. Booleans, JSON and
 * numbers that JSON represents exactly keep their type; all other values are
 * the server's text.
 */
json_t *values_from(const PGresult *result);

/* Responds to a task with a value, which it takes over, or with an error. */
void respond_value(nffi_task_t task, json_t *value);
void respond_error(nffi_task_t task, const char *message, const char *sqlstate);

#endif /* VALUES_H */

/*
 * settings.h - what the bridge itself reads of its configuration.
 */

#ifndef NFFI_PYTHON_SETTINGS_H
#define NFFI_PYTHON_SETTINGS_H

#include <stddef.h>

/*
 * Reads the string `name` of the JSON object `config`; 1, or 0 when it is not
 * there, or is no string; -1 when it is an empty one, has a NUL, or does not
 * fit.
 */
int nffi_python_setting(const char *config, size_t config_size,
    const char *name, char *value, size_t size);

#endif /* NFFI_PYTHON_SETTINGS_H */

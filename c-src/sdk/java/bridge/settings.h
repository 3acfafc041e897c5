/*
 * settings.h - the part of a runtime's configuration that the bridge itself
 * needs: how to make the virtual machine. Java reads everything else.
 */

#ifndef NFFI_JAVA_SETTINGS_H
#define NFFI_JAVA_SETTINGS_H

#include <stddef.h>

#define NFFI_JAVA_MAX_OPTIONS 64

typedef struct nffi_java_settings {
    char *java_home;          /* "java_home"; NULL: the default */
    /* "default_java_home", of the product; NULL: the one of the build */
    char *default_java_home;
    char *options[NFFI_JAVA_MAX_OPTIONS]; /* "jvm_args" */
    size_t options_count;
    int has_options;
} nffi_java_settings_t;

/*
 * Reads them of JSON, or of "class,function,configuration", which has none.
 * 0, or -1 and a reason that ends with NUL. Free what was read in both cases.
 * thread: any; blocks: no
 */
__attribute__((visibility("hidden")))
int nffi_java_settings_read(nffi_java_settings_t *settings, const char *text,
    size_t size, char *error, size_t error_size);

__attribute__((visibility("hidden")))
void nffi_java_settings_free(nffi_java_settings_t *settings);

/* 1: both name the same options and the same home. */
__attribute__((visibility("hidden")))
int nffi_java_settings_equal(const nffi_java_settings_t *one,
    const nffi_java_settings_t *other);

#endif

/*
 * options.c - tries the options of a virtual machine in a process: if it cannot
 * be made, for lack of memory or because of a wrong option, it calls exit(),
 * which in the worker would end nginx's worker.
 */

#include "jvm.h"

#include "../../shared/trial.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>


/* HOME/lib/server/libjvm.so -> HOME/bin/java; 0: there is none */
static int
find_program(const char *jvm_file, char *program, size_t size)
{
    int written;
    size_t length = strlen(jvm_file);
    static const char tail[] = "/lib/server/libjvm.so";

    if (length < sizeof(tail)
        || strcmp(jvm_file + length - (sizeof(tail) - 1), tail) != 0)
    {
        return 0;
    }

    written = snprintf(program, size, "%.*s/bin/java",
                       (int) (length - (sizeof(tail) - 1)), jvm_file);

    return written > 0 && (size_t) written < size
           && access(program, X_OK) == 0;
}


/* The variables that a machine made by JNI reads; JDK_JAVA_OPTIONS is the
   launcher's own. They stay the worker's. */
static void
find_variables(char **found, size_t max)
{
    char **entry;
    size_t i, n = 0;
    static const char *names[] = { "JAVA_TOOL_OPTIONS=", "_JAVA_OPTIONS=" };

    for (entry = environ; entry != NULL && *entry != NULL; entry++) {
        for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (n < max && strncmp(*entry, names[i], strlen(names[i])) == 0) {
                found[n++] = *entry;
            }
        }
    }

    found[n] = NULL;
}


int
nffi_java_try_options(const char *jvm_file,
    const nffi_java_settings_t *settings, char *error, size_t error_size)
{
    size_t i, n = 0;
    char *environment[3];
    char program[4096], text[NFFI_JAVA_REASON];
    const char *argv[NFFI_JAVA_MAX_OPTIONS + 4];

    /* a run time without its launcher: then there is no trial */
    if (!find_program(jvm_file, program, sizeof(program))) {
        return 0;
    }

    argv[n++] = program;
    argv[n++] = "-Xrs";

    for (i = 0; i < settings->options_count; i++) {
        argv[n++] = settings->options[i];
    }

    argv[n++] = "-version";
    argv[n] = NULL;

    find_variables(environment, 2);

    if (nffi_bridge_try(argv, environment, " version \"", text, sizeof(text))
        != 0)
    {
        (void) snprintf(error, error_size, "%s", text);
        return -1;
    }

    return 0;
}

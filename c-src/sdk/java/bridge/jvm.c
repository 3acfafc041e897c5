/*
 * jvm.c - makes the virtual machine of a worker, so that nginx stays what it
 * is: its signals, and its life when Java calls System.exit.
 */

#include "jvm.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* added to the user's options */
#define OWN_OPTIONS 7

#ifndef NFFI_JAVA_HOME
#define NFFI_JAVA_HOME ""
#endif

typedef jint (*create_pt)(JavaVM **vm, void **env, void *args);

static const int nginx_signals[NFFI_JAVA_SIGNALS] = {
    SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
    SIGALRM, SIGIO, SIGPIPE, SIGSYS
};

/* what the virtual machine says while it is made; by one thread at a time */
static char said[NFFI_JAVA_REASON];


void
nffi_java_dispositions_save(nffi_java_dispositions_t *saved)
{
    size_t i;

    for (i = 0; i < NFFI_JAVA_SIGNALS; i++) {
        (void) sigaction(nginx_signals[i], NULL, &saved->actions[i]);
    }
}


/*
 * Even with -Xrs it handles SIGUSR2, with which its profiler stops threads, and
 * SIGPIPE, which it ignores as nginx does; java.lang.Process handles SIGCHLD.
 */
void
nffi_java_dispositions_restore(const nffi_java_dispositions_t *saved)
{
    size_t i;

    for (i = 0; i < NFFI_JAVA_SIGNALS; i++) {
        (void) sigaction(nginx_signals[i], &saved->actions[i], NULL);
    }
}


/*
 * The virtual machine handles a fault of any thread first, and passes on what
 * is not its own. A nil pointer in Go is a fault on the small stack of a
 * goroutine: Go ends the process unless all handlers run on its signal stack.
 * Threads of Java have no such stack, so this changes nothing for them.
 */
static void
use_signal_stacks(void)
{
    size_t i;
    struct sigaction action;
    static const int faults[] = {
        SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGXFSZ
    };

    for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {

        if (sigaction(faults[i], NULL, &action) != 0
            || (action.sa_flags & (SA_SIGINFO|SA_ONSTACK)) != SA_SIGINFO)
        {
            continue;
        }

        action.sa_flags |= SA_ONSTACK;
        (void) sigaction(faults[i], &action, NULL);
    }
}


int
nffi_java_find_jvm(const char *home, char *file, size_t file_size, char *error,
    size_t error_size)
{
    int written;

    if (home == NULL) {
        home = NFFI_JAVA_HOME;
    }

    written = snprintf(file, file_size, "%s/lib/server/libjvm.so", home);

    if (written > 0 && (size_t) written < file_size
        && access(file, R_OK) == 0)
    {
        return 0;
    }

    (void) snprintf(error, error_size, "there is no %s, or this user may not "
                    "read it: name a Java, { program = \"/path/bin/java\" }",
                    file);

    return -1;
}


/* thread: any of the virtual machine */
static jint JNICALL
hear(FILE *stream, const char *format, va_list arguments)
{
    int n;
    va_list again;
    size_t used = strlen(said);

    va_copy(again, arguments);
    (void) vsnprintf(said + used, sizeof(said) - used, format, again);
    va_end(again);

    n = vfprintf(stream, format, arguments);
    (void) fflush(stream);

    return n;
}


/*
 * The virtual machine is about to end the process, after System.exit or
 * Runtime.halt. Its threads stay blocked, nginx continues: Java has failed the
 * running calls, and a bridge thread fails later ones.
 * thread: of the virtual machine; blocks: without end
 */
static void JNICALL
stay(jint code)
{
    (void) code;

    for ( ;; ) {
        (void) pause();
    }
}


static void
add_option(JavaVMInitArgs *arguments, char *option, void *extra)
{
    JavaVMOption *added = &arguments->options[arguments->nOptions++];

    added->optionString = option;
    added->extraInfo = extra;
}


/* PREFIX/nffi/lib/libnffi_java.so -> PREFIX/nffi/java/nffi.jar */
static int
class_path(const char *own_file, char *option, size_t size)
{
    int i, written;
    const char *end = own_file + strlen(own_file);

    for (i = 0; i < 2; i++) {
        while (end > own_file && *--end != '/') {
            /* the parent directory */
        }
    }

    written = snprintf(option, size, "-Djava.class.path=%.*s/java/nffi.jar",
                       (int) (end - own_file), own_file);

    return written > 0 && (size_t) written < size
           && access(strchr(option, '=') + 1, R_OK) == 0;
}


int
nffi_java_make_jvm(const nffi_java_settings_t *settings, const char *jvm_file,
    const char *own_file, JavaVM **vm, JNIEnv **env, char *error,
    size_t error_size)
{
    jint rc;
    void *handle;
    size_t i;
    create_pt create;
    char jar[4200], library[4200];
    static char logging[] = "-Djava.util.logging.config.class="
                            "nffi.LogHandler$Configuration";
    JavaVMInitArgs arguments;
    JavaVMOption options[NFFI_JAVA_MAX_OPTIONS + OWN_OPTIONS];

    if (!class_path(own_file, jar, sizeof(jar))) {
        (void) snprintf(error, error_size, "there is no %s", jar);
        return -1;
    }

    if (nffi_java_try_options(jvm_file, settings, error, error_size) != 0) {
        return -1;
    }

    handle = dlopen(jvm_file, RTLD_NOW|RTLD_LOCAL);
    create = handle ? (create_pt) dlsym(handle, "JNI_CreateJavaVM") : NULL;

    if (create == NULL) {
        (void) snprintf(error, error_size, "%s", dlerror());
        return -1;
    }

    (void) snprintf(library, sizeof(library), "-Dnffi.library=%s", own_file);

    memset(&arguments, 0, sizeof(arguments));
    arguments.version = JNI_VERSION_10;
    arguments.options = options;
    add_option(&arguments, "-Xrs", NULL);
    add_option(&arguments, "-XX:-UsePerfData", NULL);
    add_option(&arguments, jar, NULL);
    add_option(&arguments, library, NULL);
    add_option(&arguments, logging, NULL);
    add_option(&arguments, "exit", (void *) stay);
    add_option(&arguments, "vfprintf", (void *) hear);

    for (i = 0; i < settings->options_count; i++) {
        add_option(&arguments, settings->options[i], NULL);
    }

    said[0] = '\0';
    rc = create(vm, (void **) env, &arguments);

    if (rc != JNI_OK) {
        (void) snprintf(error, error_size, "JNI_CreateJavaVM returned %d%s%s",
                        (int) rc, said[0] ? ": " : "", said);
        return -1;
    }

    use_signal_stacks();

    return 0;
}

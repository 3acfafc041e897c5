/*
 * jvm.h - the one virtual machine of a worker.
 */

#ifndef NFFI_JAVA_JVM_H
#define NFFI_JAVA_JVM_H

#include "settings.h"

#include <jni.h>
#include <signal.h>

#define NFFI_JAVA_REASON 1024

/* nginx's signals: their dispositions are nginx's also when a virtual machine
   has been made */
#define NFFI_JAVA_SIGNALS 12

typedef struct nffi_java_dispositions {
    struct sigaction actions[NFFI_JAVA_SIGNALS];
} nffi_java_dispositions_t;

/* thread: event loop, before the virtual machine is made; blocks: no */
__attribute__((visibility("hidden")))
void nffi_java_dispositions_save(nffi_java_dispositions_t *saved);

/* thread: any, after it was made; blocks: no */
__attribute__((visibility("hidden")))
void nffi_java_dispositions_restore(const nffi_java_dispositions_t *saved);

/* The file of libjvm below a home of Java; 0, or -1 and a reason. */
__attribute__((visibility("hidden")))
int nffi_java_find_jvm(const char *home, char *file, size_t file_size,
    char *error, size_t error_size);

/*
 * Makes the virtual machine, and leaves the thread attached. First its options
 * are tried in a process: a virtual machine that cannot be made ends the
 * process it is in. 0, or -1 and a reason that ends with NUL.
 * thread: of the bridge, its stack at least 1 MiB; blocks: some 100 ms
 */
__attribute__((visibility("hidden")))
int nffi_java_make_jvm(const nffi_java_settings_t *settings,
    const char *jvm_file, const char *own_file, JavaVM **vm, JNIEnv **env,
    char *error, size_t error_size);

/* Ends when it was made, or -1 and a reason: tries the options of a virtual
   machine in a process. thread: of the bridge; blocks: until that ends */
__attribute__((visibility("hidden")))
int nffi_java_try_options(const char *jvm_file,
    const nffi_java_settings_t *settings, char *error, size_t error_size);

#endif

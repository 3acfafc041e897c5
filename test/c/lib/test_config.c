/*
 * test_config.c - the configuration of a runtime: its bytes reach threads of
 * the worker and a process alike, and no other process.
 */

#include "process.h"
#include "pair.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

static const nffi_host_options_t small = {
    .max_tasks = 4, .request_arena = 64 << 10, .response_arena = 64 << 10
};

static const size_t sizes[] = { 0, 1, 4095, 4096, 200000, 5000000 };

#define SIZES (sizeof(sizes) / sizeof(sizes[0]))
#define SECRET "s3cret-of-tenant"


/* All byte values, including NUL. */
static unsigned char *
pattern(size_t size)
{
    size_t i;
    unsigned char *bytes = malloc(size + 1);

    CHECK(bytes != NULL);

    for (i = 0; i < size; i++) {
        bytes[i] = (unsigned char) (i * 7 + i / 251);
    }

    bytes[size] = 'x';        /* not of the configuration */

    return bytes;
}


static void
check_config(nffi_queue_t *queue, size_t wanted)
{
    size_t size = 77;
    unsigned char *expected = pattern(wanted);
    const unsigned char *config = nffi_queue_config(queue, &size);

    CHECK(config != NULL);
    CHECK_BYTES(config, size, expected, wanted);
    CHECK_IS(config[size], '\0');
    CHECK(nffi_queue_config(queue, NULL) == config);
    free(expected);
}


static void
check_no_config(nffi_queue_t *queue)
{
    size_t size = 77;

    CHECK(nffi_queue_config(queue, &size) == NULL);
    CHECK_IS(size, 0);
}


static void
reads_here(void)
{
    size_t i;
    pair_t pair;
    nffi_host_options_t options = small;

    pair_open(&pair, &options);
    check_no_config(pair.queue);
    pair_close(&pair);
    check_no_config(NULL);

    for (i = 0; i < SIZES; i++) {
        options.config = pattern(sizes[i]);
        options.config_size = sizes[i];
        pair_open(&pair, &options);
        free((void *) options.config);
        check_config(pair.queue, sizes[i]);
        pair_close(&pair);
    }
}


/* Roles of a process. */

static void
play_none(void)
{
    check_no_config(attached());
}


static void
play_reader(void)
{
    size_t size;
    nffi_queue_t *queue = attached();

    (void) nffi_queue_config(queue, &size);
    check_config(queue, size);
    printf("%zu", size);
    fflush(stdout);
}


static bool
file_holds(const char *path, const char *text)
{
    ssize_t n;
    char bytes[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    CHECK(fd != -1);
    n = read(fd, bytes, sizeof(bytes));
    CHECK(n >= 0 && n < (ssize_t) sizeof(bytes));
    close(fd);

    return memmem(bytes, (size_t) n, text, strlen(text)) != NULL;
}


/* Everything that a program inherits if the runtime starts it. */
static void
play_program(void)
{
    int fd;

    CHECK(!file_holds("/proc/self/environ", SECRET));
    CHECK(!file_holds("/proc/self/cmdline", SECRET));

    for (fd = STDERR_FILENO + 1; fd < 64; fd++) {
        CHECK_IS(fcntl(fd, F_GETFD), -1);
    }
}


static void
play_keeper(void)
{
    size_t size;
    pid_t pid;
    int status;
    char *argv[] = { "runtime", PROCESS_ROLE, "program", NULL };
    nffi_queue_t *queue = attached();
    const char *config = nffi_queue_config(queue, &size);

    CHECK_BYTES(config, size, SECRET, sizeof(SECRET) - 1);
    CHECK(!file_holds("/proc/self/environ", SECRET));
    CHECK(!file_holds("/proc/self/cmdline", SECRET));
    CHECK_IS(fcntl(NFFI__FD_MEMORY, F_GETFD), -1);

    /* without fork(), whose handlers close descriptors */
    CHECK_IS(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    CHECK_IS(waitpid(pid, &status, 0), pid);
    CHECK_IS(status, 0);
}


static void
reads_in_process(void)
{
    size_t i;
    process_t process;
    char text[32], wanted[32];
    nffi_host_options_t options = small;

    process_start(&process, &options, "none");
    process_end(&process);

    for (i = 0; i < SIZES; i++) {
        options.config = pattern(sizes[i]);
        options.config_size = sizes[i];
        process_start(&process, &options, "reader");
        free((void *) options.config);
        process_read(process.nffi.stdout_fd, text, sizeof(text));
        snprintf(wanted, sizeof(wanted), "%zu", sizes[i]);
        CHECK(strcmp(text, wanted) == 0);
        process_end(&process);
    }
}


static void
keeps_secret(void)
{
    process_t process;
    nffi_host_options_t options = small;

    options.config = SECRET;
    options.config_size = sizeof(SECRET) - 1;
    process_start(&process, &options, "keeper");
    process_end(&process);
}


int
main(int argc, char **argv)
{
    static const process_role_t roles[] = {
        { "none", play_none },
        { "reader", play_reader },
        { "keeper", play_keeper },
        { "program", play_program },
    };
    static const check_case_t cases[] = {
        { "threads of the worker read a configuration of any size",
          reads_here },
        { "a process reads a configuration of any size", reads_in_process },
        { "a program that a process starts inherits no configuration",
          keeps_secret },
    };

    PROCESS_PLAY(argc, argv, roles);

    return CHECK_MAIN(argc, argv, cases);
}

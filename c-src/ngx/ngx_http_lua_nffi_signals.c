/*
 * ngx_http_lua_nffi_signals.c - the glue: keeps the signals of nginx out of the
 * threads of libraries.
 *
 * Threads of a library do not block the signals of nginx: a program inherits
 * the mask of the thread that starts it, and a program that blocks SIGTERM
 * cannot be ended. The kernel delivers a signal of the process to the event
 * loop's thread whenever it can, but not always. So nginx's handlers are called
 * through a handler of the glue, which forwards a signal to that thread. It
 * runs on the signal stack that a runtime such as Go provides, since Go's other
 * stacks are too small.
 *
 * A program also inherits which signals are ignored. Signals that nginx ignores
 * get a handler that does nothing, because exec resets handlers.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_signals.h"

#include <sys/syscall.h>
#include <sys/wait.h>


/* nginx's signals, which only the event loop's thread handles */

static int  ngx_http_lua_nffi_signals[NGX_HTTP_LUA_NFFI_NSIGNALS] = {
    SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
    SIGALRM, SIGIO, SIGPIPE, SIGSYS
};

/* The original handlers, by signal number. The event loop sets an entry before
   it installs the handler of the glue. */

static struct sigaction  ngx_http_lua_nffi_handlers[NSIG];


/* Returns 1 if a child that the event loop's thread started has ended. nginx's
   handler waits for any child, and would take the exit status from a library
   that waits for its child. */

static ngx_uint_t
ngx_http_lua_nffi_child_ended(void)
{
    siginfo_t  info;

    info.si_pid = 0;

    return waitid(P_ALL, 0, &info, WEXITED|WNOHANG|WNOWAIT|__WNOTHREAD) == 0
           && info.si_pid != 0;
}


/* Runs in a child that a library has forked, before it executes a program:
   there the signal does not belong to nginx. The signal is blocked until the
   handler returns. */

static void
ngx_http_lua_nffi_default_action(int signo)
{
    struct sigaction  action;

    ngx_memzero(&action, sizeof(action));
    action.sa_handler = SIG_DFL;

    (void) sigaction(signo, &action, NULL);
    (void) syscall(SYS_tgkill, getpid(), (ngx_pid_t) syscall(SYS_gettid),
                   signo);
}


static void
ngx_http_lua_nffi_ignore(int signo)
{
    (void) signo;
}


/*
 * thread: any
 *
 * May interrupt anything, so it only makes async-signal-safe calls.
 */

static void
ngx_http_lua_nffi_signal_handler(int signo, siginfo_t *info, void *context)
{
    int                saved;
    struct sigaction  *handler;

    saved = errno;

    /* the thread id of the event loop is the pid */

    if (getpid() != ngx_pid) {
        ngx_http_lua_nffi_default_action(signo);
        errno = saved;
        return;
    }

    if ((ngx_pid_t) syscall(SYS_gettid) != ngx_pid) {

        /* the kernel does not accept a code that claims a signal from the
           kernel */
        info->si_code = SI_QUEUE;

        if (syscall(SYS_rt_tgsigqueueinfo, ngx_pid, ngx_pid, signo, info) == 0)
        {
            errno = saved;
            return;
        }
    }

    handler = &ngx_http_lua_nffi_handlers[signo];

    if (signo == SIGCHLD && !ngx_http_lua_nffi_child_ended()) {
        errno = saved;
        return;
    }

    if (handler->sa_flags & SA_SIGINFO) {
        handler->sa_sigaction(signo, info, context);

    } else {
        handler->sa_handler(signo);
    }

    errno = saved;
}


void
ngx_http_lua_nffi_shield(ngx_http_lua_nffi_shield_t *shield)
{
    int                signo;
    ngx_uint_t         i;
    struct sigaction  *handler;

    for (i = 0; i < NGX_HTTP_LUA_NFFI_NSIGNALS; i++) {
        signo = ngx_http_lua_nffi_signals[i];
        handler = &shield->handlers[i];
        (void) sigaction(signo, NULL, handler);

        if (handler->sa_handler == SIG_DFL
            || handler->sa_handler == ngx_http_lua_nffi_ignore
            || handler->sa_sigaction == ngx_http_lua_nffi_signal_handler)
        {
            continue;
        }

        if (handler->sa_handler == SIG_IGN) {
            handler->sa_handler = ngx_http_lua_nffi_ignore;

        } else {
            ngx_http_lua_nffi_handlers[signo] = *handler;
            handler->sa_sigaction = ngx_http_lua_nffi_signal_handler;
            handler->sa_flags |= SA_SIGINFO;
        }

        /* restart interrupted system calls of a library's threads */
        handler->sa_flags |= SA_ONSTACK|SA_RESTART;
        (void) sigaction(signo, handler, NULL);
    }
}


/* Restores the handlers, and replaces those that the library has installed. */

void
ngx_http_lua_nffi_unshield(ngx_http_lua_nffi_shield_t *shield)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_LUA_NFFI_NSIGNALS; i++) {
        (void) sigaction(ngx_http_lua_nffi_signals[i], &shield->handlers[i],
                         NULL);
    }
}

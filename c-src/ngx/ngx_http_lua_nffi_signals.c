/*
 * ngx_http_lua_nffi_signals.c - the glue: keeps the signals of nginx
 * and the threads of libraries apart.
 *
 * Threads of a library do not block the signals of nginx: a program inherits
 * the mask of the thread that starts it, and one that blocks SIGTERM cannot be
 * ended. The kernel delivers a signal of the process to the event loop's thread
 * whenever it can, but not always. So nginx's handlers are called through one
 * of ours, which forwards a signal to that thread. It runs on the signal stack
 * that a runtime such as Go provides, since others of its stacks are too small.
 *
 * A program also inherits which signals are ignored. Those that nginx ignores
 * get a handler that does nothing, because exec resets handlers.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_signals.h"

#include <sys/syscall.h>
#include <sys/wait.h>


/* nginx's own signals, which only the event loop's thread handles */

static int  ngx_http_lua_nffi_signals[NGX_HTTP_LUA_NFFI_NSIGNALS] = {
    SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
    SIGALRM, SIGIO, SIGPIPE, SIGSYS
};

/* the handlers that ours stands before, by number of the signal; written by
   the event loop before ours is installed */

static struct sigaction  ngx_http_lua_nffi_handlers[NSIG];


/*
 * Whether a child has ended that the event loop's thread has started. nginx's
 * handler waits for any child, and would take the exit status from a library
 * that waits for a child of its own.
 */

static ngx_uint_t
ngx_http_lua_nffi_child_ended(void)
{
    siginfo_t  info;

    info.si_pid = 0;

    return waitid(P_ALL, 0, &info, WEXITED|WNOHANG|WNOWAIT|__WNOTHREAD) == 0
           && info.si_pid != 0;
}


/*
 * In a child that a library has forked and that has not executed a program:
 * the signal is not nginx's there. It is blocked until the handler returns.
 */

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


/* thread: any; may interrupt anything, so it calls what is safe then */

static void
ngx_http_lua_nffi_signal_handler(int signo, siginfo_t *info, void *context)
{
    int                saved;
    struct sigaction  *handler;

    saved = errno;

    /* the event loop is the thread whose number is the process's */

    if (getpid() != ngx_pid) {
        ngx_http_lua_nffi_default_action(signo);
        errno = saved;
        return;
    }

    if ((ngx_pid_t) syscall(SYS_gettid) != ngx_pid) {

        /* the kernel lets nobody say that a signal was its own */
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

        /* system calls of a library's thread go on after the handler */
        handler->sa_flags |= SA_ONSTACK|SA_RESTART;
        (void) sigaction(signo, handler, NULL);
    }
}


/* what the library has put in their place is replaced */

void
ngx_http_lua_nffi_unshield(ngx_http_lua_nffi_shield_t *shield)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_LUA_NFFI_NSIGNALS; i++) {
        (void) sigaction(ngx_http_lua_nffi_signals[i], &shield->handlers[i],
                         NULL);
    }
}

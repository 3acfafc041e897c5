/*
 * ngx_http_lua_nffi_signals.c - the glue: keeps the signals of nginx
 * and the threads of libraries apart.
 *
 * Signals are blocked while a library starts, so that the threads it makes
 * inherit that. Some unblock them again: every thread of Go takes SIGCHLD, on
 * a stack that is too small for nginx's handler. So nginx's handlers are
 * called through one of ours, which hands a signal on to the event loop's
 * thread and runs on the signal stack that such a runtime provides.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nonblocking_ffi.h"

#include <sys/syscall.h>
#include <sys/wait.h>


/* nginx's own signals: no thread of a runtime is to take them */

static int  ngx_http_lua_nffi_signals[NGX_HTTP_LUA_NFFI_NSIGNALS] = {
    SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
    SIGALRM, SIGIO, SIGPIPE, SIGSYS
};

/* the handlers that ours stands before, by number of the signal; written by
   the event loop while it blocks them */

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


/* thread: any; may interrupt anything, so it calls what is safe then */

static void
ngx_http_lua_nffi_signal_handler(int signo, siginfo_t *info, void *context)
{
    int                saved;
    struct sigaction  *handler;

    saved = errno;

    /* the event loop is the thread whose number is the process's */

    if ((ngx_pid_t) syscall(SYS_gettid) != ngx_pid && getpid() == ngx_pid) {

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
    sigset_t           blocked;
    ngx_uint_t         i;
    struct sigaction  *handler;

    sigemptyset(&blocked);

    for (i = 0; i < NGX_HTTP_LUA_NFFI_NSIGNALS; i++) {
        sigaddset(&blocked, ngx_http_lua_nffi_signals[i]);
    }

    (void) pthread_sigmask(SIG_BLOCK, &blocked, &shield->mask);

    for (i = 0; i < NGX_HTTP_LUA_NFFI_NSIGNALS; i++) {
        signo = ngx_http_lua_nffi_signals[i];
        handler = &shield->handlers[i];
        (void) sigaction(signo, NULL, handler);

        if (handler->sa_handler == SIG_DFL || handler->sa_handler == SIG_IGN
            || handler->sa_sigaction == ngx_http_lua_nffi_signal_handler)
        {
            continue;
        }

        ngx_http_lua_nffi_handlers[signo] = *handler;
        handler->sa_sigaction = ngx_http_lua_nffi_signal_handler;
        handler->sa_flags |= SA_SIGINFO|SA_ONSTACK;
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

    (void) pthread_sigmask(SIG_SETMASK, &shield->mask, NULL);
}

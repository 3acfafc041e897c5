/*
 * ngx_http_lua_nffi_output.h - the output of a runtime's process.
 */

#ifndef _NGX_HTTP_LUA_NFFI_OUTPUT_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_OUTPUT_H_INCLUDED_


#include "ngx_http_lua_nffi_log.h"


/* The output of processes of a runtime that failed to start. A later process
   that fails in the same way does not log it again. */

#define NGX_HTTP_LUA_NFFI_KNOWN    64       /* lines */

typedef struct {
    uint32_t                       lines[NGX_HTTP_LUA_NFFI_KNOWN];  /* hashes */
    ngx_uint_t                     count;
    uint32_t                       reason;   /* hash of the last reason */
    time_t                         since;
} ngx_http_lua_nffi_known_t;


/* the last error that a process wrote */

typedef struct {
    size_t                         size;
    u_char                         text[512];
    ngx_http_lua_nffi_known_t     *known;    /* NULL once it has started */

    /* the last stack that was logged: hash, process and time */
    u_char                         stack[8];
    ngx_int_t                      stack_pid;
    ngx_int_t                      silent_pid;  /* its stack is not logged */
    time_t                         stack_time;
} ngx_http_lua_nffi_last_error_t;


/* a line from a pipe of a process */

#define NGX_HTTP_LUA_NFFI_LINE     4096     /* longer lines are split */

typedef struct {
    ngx_http_lua_nffi_rate_t       rate;
    ngx_uint_t                     level;      /* of lines without a mark */
    ngx_http_lua_nffi_last_error_t  *last_error;
    size_t                         size;
    u_char                         line[NGX_HTTP_LUA_NFFI_LINE];
    unsigned                       in_stack:1;  /* its last line is of one */
} ngx_http_lua_nffi_output_t;


ngx_int_t ngx_http_lua_nffi_read_output(ngx_http_lua_nffi_output_t *out,
    ngx_socket_t fd, ngx_uint_t reads);


#define NGX_HTTP_LUA_NFFI_READS         24       /* max reads of a pipe per
                                                    turn: slightly more than a
                                                    pipe holds */


#endif /* _NGX_HTTP_LUA_NFFI_OUTPUT_H_INCLUDED_ */

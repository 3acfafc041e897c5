/*
 * ngx_http_lua_nffi_output.h - what a runtime's process writes to its pipes.
 */

#ifndef _NGX_HTTP_LUA_NFFI_OUTPUT_H_INCLUDED_
#define _NGX_HTTP_LUA_NFFI_OUTPUT_H_INCLUDED_


#include "ngx_http_lua_nffi_log.h"


/* what processes of a runtime that failed to start have said, so that the next
   one that fails in the same way does not say it again */

#define NGX_HTTP_LUA_NFFI_KNOWN    64       /* lines */

typedef struct {
    uint32_t                       lines[NGX_HTTP_LUA_NFFI_KNOWN];  /* hashes */
    ngx_uint_t                     count;
    uint32_t                       reason;   /* the last one: its hash */
    time_t                         since;
} ngx_http_lua_nffi_known_t;


/* the last error that a process wrote */

typedef struct {
    size_t                         size;
    u_char                         text[512];
    ngx_http_lua_nffi_known_t     *known;    /* NULL: it has started */

    /* the last stack that was logged: its hash, who said it, and when */
    u_char                         stack[8];
    ngx_int_t                      stack_pid;
    ngx_int_t                      silent_pid;  /* whose stack is left out */
    time_t                         stack_time;
} ngx_http_lua_nffi_last_words_t;


/* lines from a pipe of a process on their way to the error log */

#define NGX_HTTP_LUA_NFFI_LINE     4096     /* longer lines are split */

typedef struct {
    ngx_http_lua_nffi_rate_t       rate;
    ngx_uint_t                     level;      /* of unmarked lines */
    ngx_http_lua_nffi_last_words_t  *last_words;
    size_t                         size;
    u_char                         line[NGX_HTTP_LUA_NFFI_LINE];
} ngx_http_lua_nffi_output_t;


ngx_int_t ngx_http_lua_nffi_read_output(ngx_http_lua_nffi_output_t *out,
    ngx_socket_t fd, ngx_uint_t reads);


#define NGX_HTTP_LUA_NFFI_READS         24       /* of a pipe in one turn: some
                                                    more than it holds */


#endif /* _NGX_HTTP_LUA_NFFI_OUTPUT_H_INCLUDED_ */

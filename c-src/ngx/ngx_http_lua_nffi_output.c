/*
 * ngx_http_lua_nffi_output.c - the glue: writes stdout and stderr of a
 * runtime's process to the error log. Each line gets its level, without bytes
 * that could forge another line.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_output.h"
#include "ngx_http_lua_nffi_log.h"


/* nffi's own code marks a line with its level: \1 level \2 text */

static u_char *
ngx_http_lua_nffi_line_level(u_char *line, u_char *last, ngx_uint_t *level)
{
    u_char      *end;
    ngx_uint_t   i;

    static struct {
        ngx_str_t   name;
        ngx_uint_t  level;
    } levels[] = {
        { ngx_string("debug"), NGX_LOG_DEBUG },
        { ngx_string("info"), NGX_LOG_INFO },
        { ngx_string("notice"), NGX_LOG_NOTICE },
        { ngx_string("warn"), NGX_LOG_WARN },
        { ngx_string("error"), NGX_LOG_ERR }
    };

    if (line == last || *line != 1) {
        return line;
    }

    end = ngx_strlchr(line, last, 2);
    if (end == NULL) {
        return line;
    }

    for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if ((size_t) (end - line - 1) == levels[i].name.len
            && ngx_memcmp(line + 1, levels[i].name.data, levels[i].name.len)
               == 0)
        {
            *level = levels[i].level;
            return end + 1;
        }
    }

    return line;
}


/* A line of a stack that is printed when a process exits has the mark \1 stack
   HASH PID \2. A process that fails at each start prints the same stack each
   time. It is logged once. */

#define NGX_HTTP_LUA_NFFI_STACK_AGAIN  600     /* seconds; logs are rotated */

static u_char *
ngx_http_lua_nffi_stack_line(ngx_http_lua_nffi_output_t *out, u_char *line,
    u_char *last, ngx_uint_t *known)
{
    u_char                          *hash, *pid, *end;
    ngx_int_t                        sayer;
    ngx_http_lua_nffi_last_error_t  *said = out->last_error;

    static const char  mark[] = "\1stack ";

    *known = 0;
    hash = line + sizeof(mark) - 1;
    pid = hash + sizeof(said->stack) + 1;

    if (last <= pid || ngx_memcmp(line, mark, sizeof(mark) - 1) != 0) {
        return line;
    }

    end = ngx_strlchr(pid, last, 2);
    sayer = end ? ngx_atoi(pid, end - pid) : NGX_ERROR;

    if (sayer == NGX_ERROR) {
        return line;
    }

    if (sayer != said->stack_pid
        && ngx_memcmp(hash, said->stack, sizeof(said->stack)) == 0
        && ngx_time() - said->stack_time < NGX_HTTP_LUA_NFFI_STACK_AGAIN)
    {
        *known = sayer == said->silent_pid ? 2 : 1;
        said->silent_pid = sayer;
        return end + 1;
    }

    if (sayer != said->stack_pid) {
        said->stack_pid = sayer;
        said->stack_time = ngx_time();
    }

    ngx_memcpy(said->stack, hash, sizeof(said->stack));

    return end + 1;
}


/* Returns 1 if the line was logged by a process that failed to start. Otherwise
   remembers the line. */

static ngx_uint_t
ngx_http_lua_nffi_is_known(ngx_http_lua_nffi_known_t *known, u_char *line,
    size_t size)
{
    uint32_t    hash = ngx_murmur_hash2(line, size);
    ngx_uint_t  i;

    for (i = 0; i < known->count; i++) {
        if (known->lines[i] == hash) {
            return 1;
        }
    }

    if (i < NGX_HTTP_LUA_NFFI_KNOWN) {
        known->lines[known->count++] = hash;
    }

    return 0;
}


static ngx_uint_t
ngx_http_lua_nffi_starts_with(const u_char *line, const u_char *last,
    const ngx_str_t *prefixes)
{
    for ( /* void */ ; prefixes->len; prefixes++) {
        if ((size_t) (last - line) >= prefixes->len
            && ngx_memcmp(line, prefixes->data, prefixes->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * Returns 1 for a line of a stack that is not indented: the title, functions of
 * Go and registers ("rax    0x0"), and numbered frames of Node ("10: 0x195e4").
 */

static ngx_uint_t
ngx_http_lua_nffi_is_frame(ngx_http_lua_nffi_output_t *out, const u_char *line,
    const u_char *last)
{
    const u_char  *p;

    static const ngx_str_t  titles[] = {
        ngx_string("goroutine "), ngx_string("runtime stack:"),
        ngx_string("stack backtrace:"), ngx_null_string
    };
    static const ngx_str_t  frames[] = {
        ngx_string("created by "), ngx_string("..."), ngx_null_string
    };

    if (ngx_http_lua_nffi_starts_with(line, last, titles)) {
        out->in_stack = 1;
        return 1;
    }

    for (p = line; p < last && *p >= '0' && *p <= '9'; p++) { /* void */ }

    if (p > line && last - p >= 4 && ngx_memcmp(p, ": 0x", 4) == 0) {
        return 1;
    }

    if (!out->in_stack) {
        return 0;
    }

    if (last[-1] == ')' || ngx_http_lua_nffi_starts_with(line, last, frames)) {
        return 1;
    }

    for (p = line; p < last && *p != ' '; p++) { /* void */ }
    while (p < last && *p == ' ') { p++; }

    return last - p > 2 && ngx_memcmp(p, "0x", 2) == 0;
}


/* Returns 1 for a line that may be the reason of an end, 0 for one that follows
   the reason or names a frame. */

static ngx_uint_t
ngx_http_lua_nffi_is_reason(ngx_http_lua_nffi_output_t *out, ngx_uint_t level,
    u_char *line, u_char *last)
{
    static const ngx_str_t  followers[] = {
        ngx_string(" "), ngx_string("\t"), ngx_string("}"),
        /* Node, Rust */
        ngx_string("-----"), ngx_string("Node.js v"), ngx_string("note: "),
        /* Go */
        ngx_string("[signal "), ngx_string("PC=0x"),
        ngx_string("signal arrived during "), ngx_string("exit status "),
        /* Python */
        ngx_string("Current thread "), ngx_string("Thread 0x"),
        ngx_string("Extension modules: "), ngx_string("Python runtime state: "),
        /* AddressSanitizer, after its summary */
        ngx_string("Shadow byte"), ngx_string("=="), ngx_string("=>"),
        ngx_null_string
    };

    /* the virtual machine of Java prints these on stdout */

    static const ngx_str_t  reasons[] = {
        ngx_string("  #  Assertion failed: "),
        ngx_string("# There is insufficient memory "), ngx_string("#  SIG"),
        ngx_string("#  Internal Error "), ngx_string("Terminating due to java"),
        ngx_string("Aborting due to java"), ngx_null_string
    };

    if (ngx_http_lua_nffi_starts_with(line, last, reasons)) {
        return 1;
    }

    if (level > NGX_LOG_ERR
        || ngx_http_lua_nffi_starts_with(line, last, followers)
        || ngx_http_lua_nffi_is_frame(out, line, last))
    {
        return 0;
    }

    out->in_stack = 0;

    return 1;
}


/* Keeps the reason of an end that a line may be. C++ adds the text of an
   exception in a line of its own. */

static void
ngx_http_lua_nffi_keep_reason(ngx_http_lua_nffi_output_t *out,
    ngx_uint_t level, u_char *line, size_t size)
{
    size_t                           kept = 0;
    ngx_http_lua_nffi_last_error_t  *error = out->last_error;

    static const char  thrown[] = "terminate called after throwing ";
    static const char  what[] = "  what():  ";

    if (size >= sizeof(what) && ngx_memcmp(line, what, sizeof(what) - 1) == 0
        && error->size >= sizeof(thrown)
        && ngx_memcmp(error->text, thrown, sizeof(thrown) - 1) == 0)
    {
        kept = ngx_min(error->size, sizeof(error->text) - 2);
        error->text[kept++] = ':';
        line += sizeof(what) - 2;
        size -= sizeof(what) - 2;

    } else if (ngx_http_lua_nffi_is_reason(out, level, line, line + size)) {
        for ( /* void */ ; size && (*line == '#' || *line == ' '); size--) {
            line++;
        }

    } else {
        return;
    }

    size = ngx_min(size, sizeof(error->text) - kept);
    ngx_memcpy(error->text + kept, line, size);
    error->size = kept + size;
}


static void
ngx_http_lua_nffi_log_line(ngx_http_lua_nffi_output_t *out, u_char *line,
    u_char *last)
{
    size_t                      size;
    u_char                     *body;
    u_char                      text[NGX_MAX_ERROR_STR - 512];
    ngx_uint_t                  level, known, is_stack;
    ngx_http_lua_nffi_known_t  *failed = out->last_error->known;

    if (last > line && last[-1] == '\r') {
        last--;
    }

    level = out->level;
    body = ngx_http_lua_nffi_stack_line(out, line, last, &known);

    if (known == 2 || (known && failed)) {
        return;
    }

    if (known == 1) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "nffi: [%V]     (the rest is as before)",
                      out->rate.label);
        return;
    }

    is_stack = body != line;

    if (is_stack) {
        level = NGX_LOG_ERR;
        line = body;

    } else {
        line = ngx_http_lua_nffi_line_level(line, last, &level);
    }

    if (line == last) {
        return;
    }

    size = ngx_http_lua_nffi_escape(text, sizeof(text), line, last - line);

    if (!is_stack) {
        ngx_http_lua_nffi_keep_reason(out, level, text, size);
    }

    if (failed && ngx_http_lua_nffi_is_known(failed, line, last - line)) {
        return;
    }

    if (ngx_cycle->log->log_level < level
        || ngx_http_lua_nffi_rate_take(&out->rate) != NGX_OK)
    {
        return;
    }

    ngx_log_error(level, ngx_cycle->log, 0, "nffi: [%V] %*s",
                  out->rate.label, size, text);
}


static void
ngx_http_lua_nffi_split_lines(ngx_http_lua_nffi_output_t *out)
{
    u_char  *line, *end, *last;

    line = out->line;
    last = out->line + out->size;

    for ( ;; ) {
        end = ngx_strlchr(line, last, '\n');
        if (end == NULL) {
            break;
        }

        ngx_http_lua_nffi_log_line(out, line, end);
        line = end + 1;
    }

    if (line == out->line && out->size == NGX_HTTP_LUA_NFFI_LINE) {
        ngx_http_lua_nffi_log_line(out, line, last);
        line = last;
    }

    out->size = last - line;
    ngx_memmove(out->line, line, out->size);
}


/* Reads at most `reads` times. Returns NGX_AGAIN if there may be more, NGX_DONE
   at the end. */

ngx_int_t
ngx_http_lua_nffi_read_output(ngx_http_lua_nffi_output_t *out,
    ngx_socket_t fd, ngx_uint_t reads)
{
    ssize_t  n;

    while (reads > 0) {
        n = read(fd, out->line + out->size,
                 NGX_HTTP_LUA_NFFI_LINE - out->size);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n <= 0) {
            return n == 0 ? NGX_DONE : NGX_OK;
        }

        out->size += n;
        ngx_http_lua_nffi_split_lines(out);
        reads--;
    }

    return NGX_AGAIN;
}

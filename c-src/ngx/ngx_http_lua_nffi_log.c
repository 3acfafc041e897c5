/*
 * ngx_http_lua_nffi_log.c - the glue: writes lines of a runtime to the error
 * log, from a pipe or from nffi_log(). A line cannot forge another one. Excess
 * lines in a second are dropped and counted.
 *
 * Everything runs in the event loop.
 */

#ifndef DDEBUG
#define DDEBUG 0
#endif
#include "ddebug.h"


#include "ngx_http_lua_nffi_log.h"
#include "ngx_http_lua_nffi_call.h"
#include "ngx_http_lua_nffi_client.h"
#include "ngx_http_lua_nffi_core.h"
#include "ngx_http_lua_nffi_instance.h"
#include "ngx_http_lua_nffi_runtime.h"


/* Writes bytes that could forge or hide a log line as \xHH. */

size_t
ngx_http_lua_nffi_escape(u_char *to, size_t room, u_char *data, size_t size)
{
    size_t         i;
    u_char        *p = to;
    static u_char  hex[] = "0123456789abcdef";

    for (i = 0; i < size && (size_t) (p - to) + 4 <= room; i++) {

        if ((data[i] < 0x20 && data[i] != '\t') || data[i] == 0x7f) {
            *p++ = '\\';
            *p++ = 'x';
            *p++ = hex[data[i] >> 4];
            *p++ = hex[data[i] & 0xf];

        } else {
            *p++ = data[i];
        }
    }

    return p - to;
}


/* Starts a new second. Logs the number of lines dropped in the last one. */

void
ngx_http_lua_nffi_rate_report(ngx_http_lua_nffi_rate_t *rate)
{
    if (rate->report.timer_set) {
        ngx_del_timer(&rate->report);
    }

    if (rate->dropped) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "nffi: [%V] %ui lines were dropped: more than %d in a "
                      "second", rate->label, rate->dropped,
                      NGX_HTTP_LUA_NFFI_LINES);
    }

    rate->dropped = 0;
    rate->lines = 0;
    rate->start = ngx_current_msec;
}


static void
ngx_http_lua_nffi_rate_handler(ngx_event_t *ev)
{
    ngx_http_lua_nffi_rate_report(ev->data);
}


static void
ngx_http_lua_nffi_rate_drop(ngx_http_lua_nffi_rate_t *rate, ngx_uint_t lines)
{
    rate->dropped += lines;

    if (!rate->report.timer_set) {
        rate->report.data = rate;
        rate->report.handler = ngx_http_lua_nffi_rate_handler;
        rate->report.log = ngx_cycle->log;
        ngx_http_lua_nffi_set_cancelable(&rate->report, 1);
        ngx_add_timer(&rate->report, 1000);
    }
}


/* Returns NGX_OK if the line can be written, NGX_DECLINED if it was dropped and
   counted. */

ngx_int_t
ngx_http_lua_nffi_rate_take(ngx_http_lua_nffi_rate_t *rate)
{
    if (ngx_current_msec - rate->start >= 1000) {
        ngx_http_lua_nffi_rate_report(rate);
    }

    if (rate->lines >= NGX_HTTP_LUA_NFFI_LINES) {
        ngx_http_lua_nffi_rate_drop(rate, 1);
        return NGX_DECLINED;
    }

    rate->lines++;

    return NGX_OK;
}


/* Returns the log of the request to which the task belongs. */

static ngx_log_t *
ngx_http_lua_nffi_log_of(ngx_http_lua_nffi_call_t *call)
{
    ngx_log_t  *log;

    log = call && call->waiter.request
          ? ngx_http_lua_nffi_request_log(&call->waiter) : NULL;

    return log ? log : ngx_cycle->log;
}


static void
ngx_http_lua_nffi_write_message(ngx_http_lua_nffi_rate_t *rate,
    nffi_host_log_t *message)
{
    size_t      size;
    u_char     *line, *end, *last;
    u_char      text[NGX_MAX_ERROR_STR - 512];
    ngx_log_t  *log;
    ngx_uint_t  level;

    static ngx_uint_t  levels[] = {
        NGX_LOG_NOTICE, NGX_LOG_ERR, NGX_LOG_WARN, NGX_LOG_NOTICE,
        NGX_LOG_INFO, NGX_LOG_DEBUG
    };

    level = message->level > 0 && message->level <= NFFI_LOG_DEBUG
            ? levels[message->level] : NGX_LOG_NOTICE;
    log = ngx_http_lua_nffi_log_of(message->owner);
    last = message->text + message->size;

    for (line = message->text; line < last; line = end + 1) {
        end = ngx_strlchr(line, last, '\n');
        if (end == NULL) {
            end = last;
        }

        if (end == line || log->log_level < level
            || ngx_http_lua_nffi_rate_take(rate) != NGX_OK)
        {
            continue;
        }

        size = ngx_http_lua_nffi_escape(text, sizeof(text), line, end - line);
        ngx_log_error(level, log, 0, "nffi: [%V] %*s", rate->label, size,
                      text);
    }
}


/* Writes the messages in the queue of an instance. ngx_http_lua_nffi_collect()
   detects a broken queue. Returns the number of messages. */

ngx_uint_t
ngx_http_lua_nffi_write_messages(ngx_http_lua_nffi_instance_t *inst)
{
    ngx_uint_t       n, dropped;
    nffi_host_log_t  message;

    inst->rate.label = &inst->runtime->label;

    for (n = 0; n < NGX_HTTP_LUA_NFFI_MESSAGES; n++) {
        if (nffi_host_log(inst->host, &message) != 1) {
            break;
        }

        ngx_http_lua_nffi_write_message(&inst->rate, &message);
    }

    dropped = nffi_host_logs_dropped(inst->host);

    if (dropped) {
        ngx_http_lua_nffi_rate_drop(&inst->rate, dropped);
    }

    return n;
}

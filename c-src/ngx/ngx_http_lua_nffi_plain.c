/*
 * ngx_http_lua_nffi_plain.c - finds the part of a string that needs no escapes
 * in JSON. It is in C, since Lua without its JIT compiler takes 50 times as
 * long per byte, and a payload may have hundreds of megabytes.
 */

#include "ngx_http_lua_nonblocking_ffi.h"


#define NGX_HTTP_LUA_NFFI_EACH(byte)  ((uint64_t) (byte) * 0x0101010101010101)
#define NGX_HTTP_LUA_NFFI_HIGH        NGX_HTTP_LUA_NFFI_EACH(0x80)


/* Returns a value other than 0 if one of the eight bytes is `byte` or above
   0x7f. */

static ngx_inline uint64_t
ngx_http_lua_nffi_has(uint64_t word, u_char byte)
{
    uint64_t  differs = word ^ NGX_HTTP_LUA_NFFI_EACH(byte);

    return (differs - NGX_HTTP_LUA_NFFI_EACH(1)) & NGX_HTTP_LUA_NFFI_HIGH;
}


/* Returns 1 for eight bytes of ASCII without quotes, backslashes and control
   characters. */

static ngx_inline ngx_uint_t
ngx_http_lua_nffi_is_plain(const u_char *p)
{
    uint64_t  word, odd;

    ngx_memcpy(&word, p, sizeof(word));

    odd = word | (word - NGX_HTTP_LUA_NFFI_EACH(0x20))
          | ngx_http_lua_nffi_has(word, '"')
          | ngx_http_lua_nffi_has(word, '\\');

    return (odd & NGX_HTTP_LUA_NFFI_HIGH) == 0;
}


/* Returns the size of the UTF-8 character at `p`, or 0 if it is invalid (RFC
   3629). */

static size_t
ngx_http_lua_nffi_utf8(const u_char *p, size_t size)
{
    u_char  min = 0x80, max = 0xbf;
    size_t  n, i;

    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;

    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;
        min = p[0] == 0xe0 ? 0xa0 : 0x80;
        max = p[0] == 0xed ? 0x9f : 0xbf;      /* no surrogates */

    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;
        min = p[0] == 0xf0 ? 0x90 : 0x80;
        max = p[0] == 0xf4 ? 0x8f : 0xbf;

    } else {
        return 0;
    }

    if (size < n || p[1] < min || p[1] > max) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}


/*
 * Returns the number of bytes before the first one that must be escaped in JSON
 * or is not valid UTF-8, or `size` if there is none.
 *
 * thread: any; blocks: no
 */

size_t
ngx_http_lua_nonblocking_ffi_plain(const u_char *text, size_t size)
{
    size_t         n;
    const u_char  *p = text, *end = text + size;

    while (p < end) {

        if (end - p >= 8 && ngx_http_lua_nffi_is_plain(p)) {
            p += 8;
            continue;
        }

        if (*p < 0x20 || *p == '"' || *p == '\\') {
            break;
        }

        if (*p < 0x80) {
            p++;
            continue;
        }

        n = ngx_http_lua_nffi_utf8(p, end - p);

        if (n == 0) {
            break;
        }

        p += n;
    }

    return p - text;
}

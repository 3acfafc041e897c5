/**
 * Small changes that make Debian's sources behave like OpenResty's bundle, as data: the product
 * calls itself openresty, compiler warnings are no errors, and lua-cjson goes with LuaJIT.
 */

export interface SourceEdit {
  readonly component: string;
  readonly file: string;
  readonly from: RegExp;
  readonly to: string;
  /** Without it the product would be wrong; others are about names that newer nginx may move. */
  readonly needed: boolean;
}

/** `openresty` as HPACK and QPACK encode it: Huffman bit and length, then the code. */
const HUFFMAN_OPENRESTY = "\\x87\\x3d\\x65\\xaa\\xc2\\xa1\\x3e\\xbf";

export const SOURCE_EDITS: readonly SourceEdit[] = [
  // A newer compiler than nginx's authors had must not stop the build.
  edit("nginx", "auto/cc/gcc", /^CFLAGS="\$CFLAGS -Werror"\n/m, ""),
  edit(
    "nginx",
    "src/core/nginx.h",
    /"nginx\/" NGINX_VERSION/,
    '"openresty/" NGINX_VERSION ".debian"',
  ),
  // The name alone, which nginx sends with `server_tokens off`.
  optional(
    "nginx",
    "src/http/ngx_http_header_filter_module.c",
    /"Server: nginx" CRLF/,
    '"Server: openresty" CRLF',
  ),
  optional(
    "nginx",
    "src/http/ngx_http_special_response.c",
    /<center>nginx<\/center>/,
    "<center>openresty</center>",
  ),
  optional(
    "nginx",
    "src/http/v2/ngx_http_v2_filter_module.c",
    /nginx\[5\] = "\\x84\\xaa\\x63\\x55\\xe7"/,
    `nginx[8] = "${HUFFMAN_OPENRESTY}"`,
  ),
  optional("nginx", "src/http/v3/ngx_http_v3_filter_module.c", /"nginx"/g, '"openresty"'),
  // lua-cjson 2.1 brings a static luaL_setfuncs for Lua 5.1, which LuaJIT's header declares extern.
  edit("lua-cjson", "lua_cjson.c", /\bluaL_setfuncs\b/g, "json_setfuncs"),
];

function edit(component: string, file: string, from: RegExp, to: string): SourceEdit {
  return { component, file, from, to, needed: true };
}

function optional(component: string, file: string, from: RegExp, to: string): SourceEdit {
  return { component, file, from, to, needed: false };
}

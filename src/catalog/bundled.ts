/**
 * The components that OpenResty bundles: origin and licence, by the name of the directory in
 * bundle/. Data without I/O, for the bill of materials, which lists a component that is not here by
 * name and version alone.
 */

export interface BundledComponent {
  /** "owner/name" at GitHub. */
  readonly github: string;
  /** The prefix of the version in its tags. */
  readonly tag: string;
  /** An SPDX identifier; absent where the sources do not name one licence. */
  readonly licence?: string;
}

const openresty = (name: string, licence?: string): BundledComponent => ({
  github: `openresty/${name}`,
  tag: "v",
  ...(licence !== undefined && { licence }),
});

const BSD2 = "BSD-2-Clause";

const ALIKE = [
  "array-var-nginx-module",
  "echo-nginx-module",
  "encrypted-session-nginx-module",
  "headers-more-nginx-module",
  "lua-resty-core",
  "lua-resty-dns",
  "lua-resty-limit-traffic",
  "lua-resty-lock",
  "lua-resty-lrucache",
  "lua-resty-memcached",
  "lua-resty-mysql",
  "lua-resty-redis",
  "lua-resty-shell",
  "lua-resty-signal",
  "lua-resty-string",
  "lua-resty-upload",
  "lua-resty-upstream-healthcheck",
  "lua-resty-websocket",
  "lua-tablepool",
  "memc-nginx-module",
  "rds-csv-nginx-module",
  "rds-json-nginx-module",
  "redis2-nginx-module",
  "set-misc-nginx-module",
  "srcache-nginx-module",
  "xss-nginx-module",
];

const BUNDLED: Readonly<Record<string, BundledComponent>> = {
  ...Object.fromEntries(ALIKE.map((name) => [name, openresty(name, BSD2)])),
  LuaJIT: openresty("luajit2", "MIT"),
  nginx: { github: "nginx/nginx", tag: "release-", licence: BSD2 },
  ngx_devel_kit: { github: "vision5/ngx_devel_kit", tag: "v", licence: "BSD-3-Clause" },
  ngx_lua: openresty("lua-nginx-module", BSD2),
  ngx_lua_upstream: openresty("lua-upstream-nginx-module", BSD2),
  ngx_stream_lua: openresty("stream-lua-nginx-module", BSD2),
  "lua-cjson": { github: "openresty/lua-cjson", tag: "", licence: "MIT" },
  ngx_coolkit: { github: "FRiCKLE/ngx_coolkit", tag: "", licence: BSD2 },
  ngx_postgres: { github: "FRiCKLE/ngx_postgres", tag: "", licence: BSD2 },
  "drizzle-nginx-module": openresty("drizzle-nginx-module"),
  "form-input-nginx-module": { github: "calio/form-input-nginx-module", tag: "v" },
  "iconv-nginx-module": { github: "calio/iconv-nginx-module", tag: "v" },
  "lua-rds-parser": openresty("lua-rds-parser"),
  "lua-redis-parser": openresty("lua-redis-parser"),
  opm: openresty("opm"),
  "resty-cli": openresty("resty-cli"),
};

/** Licences of libraries that --with-pcre and --with-zlib link statically. */
export const LIBRARY_LICENCES: Readonly<Record<string, string>> = {
  pcre: "BSD-3-Clause",
  zlib: "Zlib",
};

export function findBundled(name: string): BundledComponent | undefined {
  return Object.hasOwn(BUNDLED, name) ? BUNDLED[name] : undefined;
}

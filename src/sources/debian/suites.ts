/**
 * The Debian suites whose packages make an OpenResty: which source packages, which options of
 * configure they need, and which packages a machine needs to build them. Data without I/O. A suite
 * is chosen by name, never by an exact revision: security updates come and go.
 */
import { packagesForOpenresty, type RequiredPackage } from "../../host/toolchain.js";

export interface DebianComponent {
  /** The name in bundle/, without the version. */
  readonly component: string;
  /** Debian's source package. */
  readonly source: string;
  /** Without it there is no OpenResty; the others are left out when the archive lacks them. */
  readonly required: boolean;
  /** A binary package with the same Lua files, for when the archive has lost the source. */
  readonly luaPackage?: string;
}

export interface DebianSuite {
  readonly name: string;
  readonly nginx: string;
  readonly ngxLua: string;
  readonly components: readonly DebianComponent[];
  /** The configure options that this set of versions needs. */
  readonly configureArgs: readonly string[];
  readonly requiredPackages: readonly RequiredPackage[];
}

/** In addition to what every build needs. */
const TOOLS: readonly RequiredPackage[] = [
  { debian: "gcc", program: "gcc" },
  { debian: "patch", program: "patch" },
  { debian: "xz-utils", program: "xz" },
];

/** The newest suite first; it is taken when none is asked for. */
export const DEBIAN_SUITES: readonly DebianSuite[] = [
  {
    name: "trixie",
    nginx: "1.26.3",
    ngxLua: "0.10.28",
    components: components("luajit"),
    configureArgs: [],
    requiredPackages: [...TOOLS, ...packagesForOpenresty(2)],
  },
  {
    name: "bookworm",
    nginx: "1.22.1",
    ngxLua: "0.10.23",
    components: components("luajit2"),
    // ngx_lua 0.10.23 supports only PCRE1. Debian 13 lacks libpcre3-dev: build this on Debian 12.
    configureArgs: ["--without-pcre2"],
    requiredPackages: [...TOOLS, ...packagesForOpenresty(1)],
  },
];

/** The suite that a user means by its name, its nginx version or the version of a whole tree. */
export function findSuite(wanted: string): DebianSuite | undefined {
  return DEBIAN_SUITES.find((suite) =>
    [suite.name, suite.nginx, treeVersion(suite.nginx, suite)].includes(wanted),
  );
}

/** The version string of an assembled tree. */
export function treeVersion(nginx: string, suite: DebianSuite): string {
  return `${nginx}-debian-${suite.name}`;
}

function components(luajit: string): readonly DebianComponent[] {
  const needed = (component: string, source: string): DebianComponent => ({
    component,
    source,
    required: true,
  });
  const luaLibrary = (name: string): DebianComponent => ({
    ...needed(name, name),
    luaPackage: name,
  });
  const extra = (component: string, source: string): DebianComponent => ({
    component,
    source,
    required: false,
  });
  return [
    needed("nginx", "nginx"),
    needed("ngx_devel_kit", "libnginx-mod-http-ndk"),
    needed("ngx_lua", "libnginx-mod-http-lua"),
    needed("LuaJIT", luajit),
    luaLibrary("lua-resty-core"),
    luaLibrary("lua-resty-lrucache"),
    extra("lua-cjson", "lua-cjson"),
    extra("echo-nginx-module", "libnginx-mod-http-echo"),
    extra("set-misc-nginx-module", "libnginx-mod-http-set-misc"),
    extra("headers-more-nginx-module", "libnginx-mod-http-headers-more-filter"),
  ];
}

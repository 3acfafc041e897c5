/** The flavours of a product: what each adds to the flags of everything that is compiled. */

export interface Flavor {
  readonly title: string;
  /** For nginx, LuaJIT excepted, and for the shared-queue library. */
  readonly cFlags: readonly string[];
  readonly ldFlags: readonly string[];
  /** Additional options for OpenResty's configure. */
  readonly configureArgs: readonly string[];
  /** The addon is opened by a Node without a sanitizer, so it takes a plain libnffi into itself. */
  readonly plainAddon: boolean;
  /** With the flags of hardening.ts. */
  readonly isHardened: boolean;
  /** Environment variables that the product's programs need, also during the build. */
  readonly env: Readonly<Record<string, string>>;
}

const ASAN = ["-fsanitize=address", "-fno-omit-frame-pointer"];

export const FLAVORS = {
  release: {
    title: "for production",
    cFlags: [],
    ldFlags: [],
    configureArgs: [],
    isHardened: true,
    plainAddon: false,
    env: {},
  },
  debug: {
    title: "not optimised, with debug logs and the assertions of ngx_lua and LuaJIT",
    cFlags: ["-O0", "-g3"],
    ldFlags: [],
    // the last level counts, and OpenResty's configure adds another
    configureArgs: ["--with-debug", "--with-cc-opt=-O0"],
    isHardened: false,
    plainAddon: false,
    env: {},
  },
  // LuaJIT keeps its own memory in the allocator that AddressSanitizer watches. LuaJIT's build
  // tools and nginx' probes free nothing before they end, hence no leak check.
  asan: {
    title: "debug, under AddressSanitizer",
    cFlags: ["-O1", "-g", ...ASAN],
    ldFlags: ["-fsanitize=address"],
    // the last level counts, and OpenResty's configure adds another
    configureArgs: [
      "--with-debug",
      "--with-cc-opt=-O1",
      "--with-luajit-xcflags=-DLUAJIT_USE_SYSMALLOC -DLUAJIT_USE_VALGRIND",
    ],
    isHardened: false,
    plainAddon: true,
    env: { ASAN_OPTIONS: "detect_leaks=0" },
  },
} as const satisfies Record<string, Flavor>;

export type FlavorName = keyof typeof FLAVORS;

export const FLAVOR_NAMES = Object.keys(FLAVORS) as FlavorName[];

/** A manifest of nffi 0.1 names none. */
export function flavorOf(name: FlavorName | undefined): Flavor {
  return FLAVORS[name ?? "release"];
}

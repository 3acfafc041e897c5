// The compiled objects of a test run: builds in different directories share them, so that a fresh
// machine compiles each file once. vitest.config.ts names the directory for all of them.

/**
 * For environments that are made from nothing. A working directory in the key of an object would
 * keep builds apart; the objects do not name it, as `nffi build` maps it to a fixed name.
 */
export const compileCache: Readonly<Record<string, string>> = {
  CCACHE_DIR: process.env.CCACHE_DIR ?? "",
  CCACHE_NOHASHDIR: "1",
};

/** For programs that run `cc` themselves. */
export const withCompileCache = { PATH: `/usr/lib/ccache:${process.env.PATH}` };

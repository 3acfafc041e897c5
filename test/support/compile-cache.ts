// The compiled objects of a test run: builds in different directories share them, so that a fresh
// machine compiles each file once. vitest.config.ts names the directory for all of them.
import { isContinuousIntegration } from "../../src/host/environment.js";

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

/**
 * For a build whose objects no other build of a run uses. On a fresh machine ccache would find
 * nothing, and preprocess each file once more to store it.
 */
export const withoutSharing: Readonly<Record<string, string>> = isContinuousIntegration(process.env)
  ? { CCACHE_DISABLE: "1" }
  : {};

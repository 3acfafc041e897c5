// Test builds that differ only in their directories share compiled objects. Builds whose bytes are
// compared do not: ccache makes paths relative, which is visible in debug information.
import { join } from "node:path";
import { repository } from "./cli.js";

/** For a build that works below `folder`; ccache then takes paths there as relative. */
export function compileCache(folder: string): Record<string, string> {
  return {
    CCACHE_DIR: process.env.CCACHE_DIR ?? join(repository, ".nffi/test/ccache"),
    CCACHE_BASEDIR: folder,
  };
}

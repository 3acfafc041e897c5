// Compiled objects are shared by builds of the tests that differ in their folders only. Not by those
// whose bytes are compared: ccache makes paths relative, which debug information tells.
import { join } from "node:path";
import { repository } from "./cli.js";

/** For a build that works below `folder`; ccache then takes paths there as relative. */
export function compileCache(folder: string): Record<string, string> {
  return {
    CCACHE_DIR: process.env.CCACHE_DIR ?? join(repository, ".nffi/test/ccache"),
    CCACHE_BASEDIR: folder,
  };
}

import { expect, test } from "vitest";
import { buildEnvironment } from "../../../src/host/environment.js";

test("a build passes on what docs/build.md lists, and nothing else", () => {
  const passed = {
    PATH: "/bin",
    HOME: "/home/me",
    https_proxy: "http://proxy.example",
    NO_PROXY: "localhost",
    CC: "clang",
    CFLAGS: "-O3",
    CCACHE_DIR: "/ccache",
    JAVA_HOME: "/jdk",
    SOURCE_DATE_EPOCH: "1",
    TMPDIR: "/tmp/with blank",
  };
  const dropped = {
    ...{ CDPATH: "/x", GREP_OPTIONS: "-i", MAKEFLAGS: "-n", PERL5LIB: "/x", LD_PRELOAD: "/x.so" },
    ...{ LD_LIBRARY_PATH: "/x", BASH_ENV: "/x", ENV: "/x", NGX_DEBUG: "YES", LUA_PATH: "/x" },
    ...{ C_INCLUDE_PATH: "/x", "BASH_FUNC_cat%%": "() { :; }", NFFI_PREFIX: "/x", NGINX: "3;" },
    ...{
      LANG: "de_DE.UTF-8",
      LC_MESSAGES: "de_DE.UTF-8",
      LC_ALL: "de_DE.UTF-8",
      JAVA_TOOL_OPTIONS: "x",
    },
    UNSET: undefined,
  };
  expect(buildEnvironment({ ...passed, ...dropped })).toEqual({ ...passed, LC_ALL: "C.UTF-8" });
});

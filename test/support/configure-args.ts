// The arguments of configure in the builds of OpenResty. Each header of nginx and each object of
// LuaJIT depends on them, so builds that share compiled objects pass the same.
import { existsSync } from "node:fs";

/** Tested features that are off by default. */
export const MODULES = ["--with-http_v2_module", "--with-poll_module", "--with-select_module"];

/** LuaJIT, most of which is C that runs for milliseconds in a test, takes a third of its time. */
export const FAST_LUAJIT = "--with-luajit-xcflags=-O0";

/** With this flag LuaJIT notifies valgrind of the code that it generates. */
const FOR_VALGRIND = "--with-luajit-xcflags=-DLUAJIT_USE_VALGRIND";

/** Debug information without variables: the compiler takes a seventh less time. */
const FEWER_SYMBOLS = "--with-cc-opt=-g1";

export const CONFIGURE_ARGS = [
  ...[...MODULES, FEWER_SYMBOLS],
  ...(existsSync("/usr/include/valgrind/valgrind.h") ? [FOR_VALGRIND] : []),
];

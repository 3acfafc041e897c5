/**
 * The compiler, programs and headers that a build needs; all missing ones are reported together.
 */
import { join } from "node:path";
import { NffiError } from "../errors.js";
import { outputOf, run } from "../io/exec.js";
import { exists } from "../io/files.js";
import { installHint } from "./distribution.js";
import { buildEnvironment, type Environment } from "./environment.js";
import { findProgram } from "./tools.js";

export interface RequiredPackage {
  /** The Debian package that brings it. */
  readonly debian: string;
  /** The proof that it is there: a program in PATH or a header that the compiler finds. */
  readonly program?: string;
  readonly header?: string;
  /** The hint for distributions that no longer have the package. */
  readonly otherwise?: string;
}

export const EVERY_BUILD: readonly RequiredPackage[] = [
  { debian: "make", program: "make" },
  { debian: "binutils", program: "nm" },
  { debian: "libc6-dev", header: "stdlib.h" },
];

/** Debian 13, Ubuntu 24.10 and newer no longer have it. */
const PCRE1: RequiredPackage = {
  debian: "libpcre3-dev",
  header: "pcre.h",
  otherwise:
    "Debian 13 has no libpcre3-dev (PCRE 1): use a release that requires PCRE 2, such as " +
    "--openresty 1.27.1.2 or --source debian:trixie",
};

/** What OpenResty needs, with the generation of PCRE that it takes. */
export function packagesForOpenresty(pcre: 1 | 2): readonly RequiredPackage[] {
  return [
    { debian: "libssl-dev", header: "openssl/ssl.h" },
    { debian: "zlib1g-dev", header: "zlib.h" },
    pcre === 1 ? PCRE1 : { debian: "libpcre2-dev", header: "pcre2.h" },
  ];
}

/** ngx_lua takes PCRE 2 since 0.10.26; an older one needs the library that it replaces. */
const FIRST_WITH_PCRE2 = [0, 10, 26];

export function pcreOfNgxLua(version: string): 1 | 2 {
  const parts = version.split(/[.a-z]/).map(Number);
  const firstOther = FIRST_WITH_PCRE2.findIndex((part, index) => part !== parts[index]);
  const isOlder = firstOther >= 0 && (parts[firstOther] ?? 0) < (FIRST_WITH_PCRE2[firstOther] ?? 0);
  return isOlder ? 1 : 2;
}

/** The C compiler: $CC as the user has set it, else cc. */
export function compilerOf(env: Environment): string {
  return env.CC?.trim() || "cc";
}

/** The compiler's version, and the versions in the headers of libraries that nginx links. */
const IDENTITY = `
#if __has_include(<openssl/opensslv.h>)
#include <openssl/opensslv.h>
#endif
#if __has_include(<zlib.h>)
#include <zlib.h>
#endif
#define PCRE2_CODE_UNIT_WIDTH 8
#if __has_include(<pcre2.h>)
#include <pcre2.h>
#endif
#if __has_include(<pcre.h>)
#include <pcre.h>
#endif
#include <features.h>
identity: __VERSION__, glibc __GLIBC__ __GLIBC_MINOR__, OPENSSL_VERSION_TEXT, zlib ZLIB_VERSION, \
pcre2 PCRE2_MAJOR PCRE2_MINOR, pcre PCRE_MAJOR PCRE_MINOR
`;

/** One line that changes with the compiler and with the libraries that a product is linked to. */
export async function compilerIdentity(env: Environment): Promise<string> {
  const [compiler = "cc", ...flags] = compilerOf(env).split(/\s+/);
  const output = await outputOf({
    program: compiler,
    args: [...flags, ...splitFlags(env.CPPFLAGS), "-E", "-P", "-x", "c", "-"],
    input: IDENTITY,
    env: buildEnvironment(env),
  });
  const found = /^identity: (.*)$/m.exec(output)?.[1];
  return `${compilerOf(env)} ${found ?? "unknown"}`;
}

/**
 * Throws one error that names all that is missing and its Debian packages. `configureArgs` are the
 * user's: they can make a header needless.
 */
export async function requirePackages(
  packages: readonly RequiredPackage[],
  configureArgs: readonly string[],
  env: Environment,
): Promise<void> {
  const missing: RequiredPackage[] = [];
  const [compiler = "cc"] = compilerOf(env).split(/\s+/);
  if ((await findProgram(compiler, env)) === undefined)
    missing.push({ debian: "gcc", program: `the C compiler ${compiler}` });

  for (const one of uniqueOf([...EVERY_BUILD, ...packages])) {
    const isCompiler = one.program === "gcc" || one.program === "cc";
    if (isCompiler || isMadeNeedless(one, configureArgs)) continue;
    if (one.program && !(await findProgram(one.program, env))) missing.push(one);
    if (one.header && !(await hasHeader(one.header, env))) missing.push(one);
  }
  if (missing.length === 0) return;

  const names = missing.map((one) => one.program ?? `the header ${one.header}`);
  const debian = [...new Set(missing.map((one) => one.debian))];
  throw new NffiError("toolchain-missing", `missing on this machine: ${names.join(", ")}`, {
    hint: [installHint(debian), ...missing.flatMap(({ otherwise }) => otherwise ?? [])].join("\n"),
  });
}

const NEEDLESS: Readonly<Record<string, RegExp>> = {
  "openssl/ssl.h": /^--with-openssl=/,
  "zlib.h": /^--with-zlib=|^--without-http_gzip_module$/,
  "pcre.h": /^--with-pcre=/,
  "pcre2.h": /^--with-pcre=/,
};

function isMadeNeedless(one: RequiredPackage, configureArgs: readonly string[]): boolean {
  const argument = NEEDLESS[one.header ?? ""];
  return argument !== undefined && configureArgs.some((given) => argument.test(given));
}

function uniqueOf(packages: readonly RequiredPackage[]): RequiredPackage[] {
  const byName = packages.map((one) => [one.program ?? one.header, one] as const);
  return [...new Map(byName).values()];
}

/** Asks the compiler; where there is none, looks where the distributions put headers. */
export async function hasHeader(name: string, env: Environment): Promise<boolean> {
  const [compiler = "cc", ...flags] = compilerOf(env).split(/\s+/);
  if ((await findProgram(compiler, env)) === undefined) return isInHeaderFolders(name);
  const args = [...flags, ...splitFlags(env.CPPFLAGS), ...splitFlags(env.CFLAGS)];
  const probe = await run({
    program: compiler,
    args: [...args, "-E", "-x", "c", "-o", "/dev/null", "-"],
    // pcre2.h refuses to be included without a width.
    input: `#define PCRE2_CODE_UNIT_WIDTH 8\n#include <${name}>\n`,
    env: buildEnvironment(env),
  });
  return probe.exitCode === 0;
}

const HEADER_FOLDERS = [
  ...["/usr/local/include", "/usr/include"],
  ...["/usr/include/x86_64-linux-gnu", "/usr/include/aarch64-linux-gnu"],
];

async function isInHeaderFolders(name: string): Promise<boolean> {
  const found = await Promise.all(HEADER_FOLDERS.map((folder) => exists(join(folder, name))));
  return found.includes(true);
}

function splitFlags(flags: string | undefined): string[] {
  return (flags ?? "").split(/\s+/).filter((flag) => flag !== "");
}

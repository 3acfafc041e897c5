/**
 * The usual meaning of lines in the log of a failed build: data without I/O. The first pattern that
 * matches a line decides.
 */
import { packageOfHeader, packageOfLibrary } from "./system-packages.js";

export type Cure =
  | { readonly kind: "package"; readonly debian: string }
  | { readonly kind: "hint"; readonly text: string };

const hint = (text: string): Cure => ({ kind: "hint", text });
const packages = (debian: string | undefined): Cure | undefined =>
  debian === undefined ? undefined : { kind: "package", debian };

type Symptom = readonly [pattern: RegExp, cure: (found: string) => Cure | undefined];

const NO_MEMORY = hint("there was not enough memory: build with --jobs 1, or add memory or swap");
const NO_EXECUTION = hint(
  "programs cannot run in that directory (mounted noexec?): use --work-dir and TMPDIR to name others; " +
    "`nffi doctor` lists them",
);

const SYMPTOMS: readonly Symptom[] = [
  [
    /no space left on device|disk quota exceeded/i,
    () => hint("the disk is full: free some space, or use --work-dir on another disk"),
  ],
  [/virtual memory exhausted|[Cc]annot allocate memory|out of memory/, () => NO_MEMORY],
  [/Killed signal terminated program|internal compiler error: Killed|\bKilled$/, () => NO_MEMORY],
  [
    /Illegal instruction/,
    () =>
      hint(
        "this processor lacks an instruction that LuaJIT was compiled for, most likely SSE4.2: " +
          "add -- --with-luajit-xcflags=-mno-sse4.2",
      ),
  ],
  [
    /(?:fatal error|error): ([\w./+-]+\.h): No such file/,
    (header) => packages(packageOfHeader(header)),
  ],
  [/cannot find -l([\w+.-]+)/, (library) => packages(packageOfLibrary(library))],
  [/rewrite module requires the PCRE2? library/, () => packages("libpcre2-dev")],
  [/gzip module requires the zlib library/, () => packages("zlib1g-dev")],
  [/SSL modules require the OpenSSL library/, () => packages("libssl-dev")],
  [/XSLT module requires the libxml2/, () => packages("libxslt1-dev")],
  [/image filter module requires the GD library/, () => packages("libgd-dev")],
  [/GeoIP module requires the GeoIP library/, () => packages("libgeoip-dev")],
  [/C compiler \S+ is not found/, () => packages("gcc")],
  [/perl: (?:command )?not found/, () => packages("perl")],
  [/cannot be started: EACCES|\/\S+: Permission denied$/, () => NO_EXECUTION],
];

export function cureOf(line: string): Cure | undefined {
  for (const [pattern, cure] of SYMPTOMS) {
    const match = pattern.exec(line);
    if (match) return cure(match[1] ?? "");
  }
  return undefined;
}

// An environment that breaks careless builds. nffi build must produce the same product in it.
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What shells, profiles and packagers export; each of them broke a build, or changed it unseen. */
export function hostileEnvironment(folder: string): Record<string, string> {
  const foreign = join(folder, "foreign");
  const temp = join(folder, "temp with blank");
  for (const dir of ["etc", "src", "build", "bundle"]) {
    mkdirSync(join(foreign, dir), { recursive: true });
  }
  mkdirSync(temp);
  chmodSync(temp, 0o755);
  writeFileSync(join(foreign, "stdio.h"), "#error this is not the stdio.h of the system\n");
  writeFileSync(join(foreign, "strict.pm"), "die 'this is not the strict of perl';\n");
  writeFileSync(join(foreign, "libz.so.1"), "");
  writeFileSync(join(foreign, "profile"), "exit 3\n");
  return {
    CDPATH: foreign,
    TMPDIR: temp,
    GREP_OPTIONS: "--color=always",
    MAKEFLAGS: "--dry-run",
    PERL5LIB: foreign,
    C_INCLUDE_PATH: foreign,
    LD_LIBRARY_PATH: foreign,
    BASH_ENV: join(foreign, "profile"),
    ENV: join(foreign, "profile"),
    NGX_BUILD: "foreign",
    NGINX: "17;",
    LUA_PATH: "/nonexistent/?.lua",
    LUA_INIT: "error('foreign')",
    LANG: "de_DE.UTF-8",
  };
}

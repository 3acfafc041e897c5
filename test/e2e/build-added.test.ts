// Modules of nginx and static libraries that a user adds, in one real build of the debug flavour.
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { repository, runCli, runProgram } from "../support/cli.js";
import { withoutSharing } from "../support/compile-cache.js";
import { FAST_LUAJIT } from "../support/configure-args.js";
import { debianSources } from "../support/debian-source.js";
import { makeFakeRelease } from "../support/fake-release.js";
import { withNginx } from "../support/nginx.js";
import { anySuite } from "../support/openresty.js";
import { temporaryFolder, temporaryFolderOfAll } from "../support/temporary.js";

/** A module that answers with its name where its directive stands. */
function makeModule(folder: string, name: string, how: "static" | "dynamic"): string {
  const dir = join(folder, name);
  mkdirSync(dir);
  writeFileSync(
    join(dir, "config"),
    `ngx_addon_name=ngx_http_${name}_module
ngx_module_type=HTTP
ngx_module_name=$ngx_addon_name
ngx_module_srcs="$ngx_addon_dir/${name}.c"
. auto/module
`,
  );
  writeFileSync(
    join(dir, `${name}.c`),
    `#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

static ngx_int_t answer(ngx_http_request_t *r)
{
    static ngx_str_t  type = ngx_string("text/plain");
    ngx_http_complex_value_t  text = { ngx_string("${how} ${name}"), NULL, NULL, NULL };

    return ngx_http_send_response(r, 200, &type, &text);
}

static char *set(ngx_conf_t *cf, ngx_command_t *command, void *conf)
{
    ngx_http_core_loc_conf_t  *location =
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    location->handler = answer;
    return NGX_CONF_OK;
}

static ngx_command_t commands[] = {
    { ngx_string("${name}"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS, set, 0, 0, NULL },
    ngx_null_command
};

static ngx_http_module_t context = { NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL };

ngx_module_t ngx_http_${name}_module = {
    NGX_MODULE_V1, &context, commands, NGX_HTTP_MODULE,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING
};
`,
  );
  return dir;
}

// Keeps only the parts of OpenSSL that nginx needs, not optimised; the rest would only take time.
const LEAN_OPENSSL = [
  ..."apps aria bf camellia cast chacha cmp cms comp ct des docs dsa dtls ec2m engine".split(" "),
  ..."gost idea legacy md4 mdc2 ml-dsa ml-kem module multiblock ocb poly1305 psk".split(" "),
  ..."quic rc2 rc4 rfc3779 rmd160 scrypt seed siphash siv slh-dsa sm2 sm3 sm4 srp".split(" "),
  ..."srtp ssl-trace tests ts whirlpool asm".split(" "),
]
  .map((part) => `no-${part}`)
  .concat("-O0");

/** What shells, profiles and packagers export; each of them broke a build, or changed it unseen. */
function hostileEnvironment(folder: string): Record<string, string> {
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

describe.skipIf(process.env.NFFI_TEST_PREFIX)("a build with added sources", () => {
  const folder = temporaryFolderOfAll();
  const prefix = join(folder, "openresty");
  let libraries: Record<string, string> = {};

  beforeAll(async () => {
    libraries = await debianSources(["pcre2", "zlib", "openssl"], folder);
    const { pcre2 = "", zlib = "", openssl = "" } = libraries;
    const args = [
      ...["build", "--source", `debian:${anySuite}`, "--flavor", "debug"],
      ...["--prefix", prefix, "--work-dir", join(folder, "work")],
      ...["--add-module", makeModule(folder, "compiled_in", "static")],
      ...["--add-dynamic-module", makeModule(folder, "loaded", "dynamic")],
      ...["--with-pcre", pcre2, "--with-zlib", zlib, "--with-openssl", openssl],
      ...["--", `--with-openssl-opt=${LEAN_OPENSSL.join(" ")}`],
      ...["--with-pcre-opt=-O0", "--with-zlib-opt=-O0", FAST_LUAJIT],
    ];
    const env = { ...hostileEnvironment(folder), ...withoutSharing };
    const program = [process.execPath, join(repository, "bin/nffi.mjs"), ...args];
    const built = await runProgram("sh", ["-c", 'umask 077; exec "$@"', "sh", ...program], { env });
    if (built.exitCode !== 0) throw new Error(built.stderr);
  });

  test("umask and environment of the user change nothing in it", () => {
    const find = (...args: string[]) => execFileSync("find", args, { encoding: "utf8" });
    expect(find(prefix, "-type", "d", "!", "-perm", "755")).toBe("");
    expect(find(prefix, "-type", "f", "!", "-perm", "644", "!", "-perm", "755")).toBe("");
    const nginx = join(prefix, "nginx/sbin/nginx");
    expect(execFileSync("sh", ["-c", `${nginx} -V 2>&1`], { encoding: "utf8" })).not.toContain(
      "foreign",
    );
  });

  test.runIf(process.getuid?.() === 0)("its proof ran as the user of nginx's workers", () => {
    const logs = join(folder, "work/logs");
    const log = readdirSync(logs).find((name) => name.endsWith("-prove.log")) ?? "";
    const text = readFileSync(join(logs, log), "utf8");
    expect(text).not.toContain("warning");
    expect(text).toContain("workers of nginx run as user 65534");
  });

  test("nginx links PCRE2, zlib and OpenSSL statically", () => {
    const nginx = join(prefix, "nginx/sbin/nginx");
    const needed = execFileSync("readelf", ["-d", nginx], { encoding: "utf8" });
    expect(needed).toContain("libnffi.so.1");
    expect(needed).not.toMatch(/lib(pcre|z\.|ssl|crypto)/);
  });

  test("the directories of the libraries are as they were, and not named by nginx -V", () => {
    const { zlib = "", openssl = "" } = libraries;
    expect(existsSync(join(zlib, "libz.a"))).toBe(false);
    expect(existsSync(join(openssl, ".openssl"))).toBe(false);
    const nginx = join(prefix, "nginx/sbin/nginx");
    const shown = execFileSync("sh", ["-c", `${nginx} -V 2>&1`], { encoding: "utf8" });
    expect(shown).not.toContain(join(folder, "work"));
    expect(shown).toContain("--with-debug");
    expect(shown).toMatch(/--with-cc-opt='-O2 [^']*-O0'/);
    const manifest = JSON.parse(readFileSync(join(prefix, "nffi/nffi.json"), "utf8"));
    expect(manifest.flavor).toBe("debug");
  });

  test("both modules answer, the dynamic one after load_module", async () => {
    const main = `load_module ${prefix}/nginx/modules/ngx_http_loaded_module.so;`;
    const server = "location /static { compiled_in; } location /dynamic { loaded; }";
    expect(readdirSync(join(prefix, "nginx/modules"))).toEqual(["ngx_http_loaded_module.so"]);
    await withNginx({ prefix, main, server }, async (nginx) => {
      expect(await nginx.get("/static")).toBe("static compiled_in");
      expect(await nginx.get("/dynamic")).toBe("dynamic loaded");
    });
  });
});

test.each([
  ["--add-module", 'it has no file "config"'],
  ["--add-dynamic-module", 'it has no file "config"'],
  ["--with-pcre", "it has no pcre2.h.generic"],
  ["--with-zlib", "it has no zlib.h"],
  ["--with-openssl", "it has no Configure"],
])("%s of another folder is refused before anything is done", async (option, message) => {
  const folder = temporaryFolder();
  const tree = makeFakeRelease(join(folder, "tree"));
  const places = ["--prefix", join(folder, "p"), "--work-dir", join(folder, "w")];
  const result = await runCli(["build", "--source", tree, ...places, option, "no/such"], {
    cwd: folder,
  });
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toContain(`${option} ${join(folder, "no/such")}: ${message}`);
});

// Modules of nginx and static libraries that a user adds, in one real build of the debug flavour.
// test/full/build-openssl.test.ts adds OpenSSL, which takes longest.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { repository, runCli, runProgram } from "../support/cli.js";
import { withoutSharing } from "../support/compile-cache.js";
import { FAST_LUAJIT } from "../support/configure-args.js";
import { debianSources } from "../support/debian-source.js";
import { makeFakeRelease } from "../support/fake-release.js";
import { hostileEnvironment } from "../support/hostile-environment.js";
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

describe.skipIf(process.env.NFFI_TEST_PREFIX)("a build with added sources", () => {
  const folder = temporaryFolderOfAll();
  const prefix = join(folder, "openresty");
  let libraries: Record<string, string> = {};

  beforeAll(async () => {
    libraries = await debianSources(["pcre2", "zlib"], folder);
    const { pcre2 = "", zlib = "" } = libraries;
    const args = [
      ...["build", "--source", `debian:${anySuite}`, "--flavor", "debug"],
      ...["--prefix", prefix, "--work-dir", join(folder, "work")],
      ...["--add-module", makeModule(folder, "compiled_in", "static")],
      ...["--add-dynamic-module", makeModule(folder, "loaded", "dynamic")],
      ...["--with-pcre", pcre2, "--with-zlib", zlib],
      ...["--", "--with-pcre-opt=-O0", "--with-zlib-opt=-O0", FAST_LUAJIT],
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

  test("nginx links PCRE2 and zlib statically", () => {
    const nginx = join(prefix, "nginx/sbin/nginx");
    const needed = execFileSync("readelf", ["-d", nginx], { encoding: "utf8" });
    expect(needed).toContain("libnffi.so.1");
    expect(needed).not.toMatch(/lib(pcre|z\.)/);
  });

  test("the directories of the libraries are as they were, and not named by nginx -V", () => {
    const { zlib = "" } = libraries;
    expect(existsSync(join(zlib, "libz.a"))).toBe(false);
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

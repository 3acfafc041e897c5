// A product of the debug flavour with what a user can add: modules of nginx and static libraries.
// It is built in an environment that breaks careless builds. Test files that change it share it,
// so it belongs to one of them at a time.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { acquireLock } from "../../src/io/lock.js";
import { repository, runProgram } from "./cli.js";
import { withoutSharing } from "./compile-cache.js";
import { FAST_LUAJIT } from "./configure-args.js";
import { debianSources } from "./debian-source.js";
import { hostileEnvironment } from "./hostile-environment.js";
import { anySuite, unlessBuilt } from "./openresty.js";

const FOLDER = join(repository, ".nffi/test/added");
const SOURCES = join(FOLDER, "sources");

export interface AddedProduct {
  readonly prefix: string;
  readonly workDir: string;
  /** The command line that has built it. */
  readonly args: readonly string[];
  /** The source directories of the static libraries. */
  readonly libraries: { readonly pcre2: string; readonly zlib: string };
  /** Lets the next file have it. */
  release(): Promise<void>;
}

/** Waits until no other file has the product, and builds it if its sources have changed. */
export async function takeAddedProduct(): Promise<AddedProduct> {
  const [prefix, workDir] = [join(FOLDER, "openresty"), join(FOLDER, "work")];
  const libraries = { pcre2: join(SOURCES, "pcre2"), zlib: join(SOURCES, "zlib") };
  const args = [
    ...["build", "--source", `debian:${anySuite}`, "--keep", "--flavor", "debug"],
    ...["--prefix", prefix, "--work-dir", workDir],
    ...["--add-module", join(SOURCES, "compiled_in"), "--add-dynamic-module"],
    ...[join(SOURCES, "loaded"), "--with-pcre", libraries.pcre2, "--with-zlib", libraries.zlib],
    ...["--", "--with-cc-opt=-g0", "--with-pcre-opt=-O0", "--with-zlib-opt=-O0", FAST_LUAJIT],
  ];
  mkdirSync(FOLDER, { recursive: true });
  const lock = await acquireLock(FOLDER, { wait: true });
  try {
    await unlessBuilt(FOLDER, args, () => build(args));
  } catch (thrown) {
    await lock.release();
    throw thrown;
  }
  return { prefix, workDir, args, libraries, release: () => lock.release() };
}

async function build(args: readonly string[]): Promise<void> {
  const surroundings = join(FOLDER, "surroundings");
  for (const folder of [SOURCES, surroundings]) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
  }
  await debianSources(["pcre2", "zlib"], SOURCES);
  makeModule("compiled_in", "static");
  makeModule("loaded", "dynamic");
  const env = { ...hostileEnvironment(surroundings), ...withoutSharing };
  const program = [process.execPath, join(repository, "bin/nffi.mjs"), ...args];
  const built = await runProgram("sh", ["-c", 'umask 077; exec "$@"', "sh", ...program], { env });
  if (built.exitCode !== 0) throw new Error(built.stderr);
}

/** A module that answers with its name where its directive stands. */
function makeModule(name: string, how: "static" | "dynamic"): void {
  const dir = join(SOURCES, name);
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
}

// An OpenResty that nffi has not touched: assembled from Debian's source packages and configured
// without our patches. It is made once, below .nffi/test, and depends on nothing of this repository
// but the assembly and the flags of the compiler, so it shares objects with openresty.ts.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { buildEnvironment } from "../../src/host/environment.js";
import { nodeApiInclude } from "../../src/host/package.js";
import { hardeningOf } from "../../src/pipeline/hardening.js";
import {
  assembleDebianTree,
  fetchDebianSources,
  resolveDebianSuite,
} from "../../src/sources/debian/debian-source.js";
import { repository } from "./cli.js";
import { withCompileCache } from "./compile-cache.js";
import { CONFIGURE_ARGS } from "./configure-args.js";

const FOLDER = join(repository, ".nffi/test/unpatched");

/**
 * The source of ngx_stream_lua, of the version that the lua-resty-core of Debian 13 is for, 0.0.16.
 * Debian has no package of it, so the tests of stream {} are skipped without this directory.
 */
export const STREAM_LUA = process.env.NFFI_TEST_STREAM_LUA;

export interface UnpatchedOpenresty {
  /** What `make install` filled. */
  readonly prefix: string;
  /** Directories of nginx's headers. */
  readonly includes: readonly string[];
}

/** `change` edits the sources of nginx before they are configured; `name` is its directory. */
export async function unpatchedOpenresty(
  name = "nginx-core",
  change: (nginxSource: string) => void = () => {},
): Promise<UnpatchedOpenresty> {
  const folder = join(FOLDER, STREAM_LUA ? `${name}-stream` : name);
  const prefix = join(folder, "openresty");
  const tree = join(folder, "tree");
  if (!existsSync(join(folder, "done"))) await make(folder, tree, prefix, change);
  const nginx = join(tree, "build", nameIn(join(tree, "build"), /^nginx-/));
  const folders = ["core", "event", "event/modules", "event/quic", "os/unix"];
  const ofHttp = ["http", "http/modules", "http/v2", "http/v3"];
  return {
    prefix,
    includes: ["objs", ...[...folders, ...ofHttp].map((path) => `src/${path}`)]
      .map((path) => join(nginx, path))
      .filter((path) => existsSync(path)),
  };
}

async function make(
  folder: string,
  tree: string,
  prefix: string,
  change: (nginxSource: string) => void,
): Promise<void> {
  console.log(`building an OpenResty without patches of ours in ${folder} (minutes)`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const cacheDir = join(repository, ".nffi/test/download");
  const suite = await resolveDebianSuite("trixie");
  const sources = await fetchDebianSources(suite, { cacheDir });
  const assembled = await assembleDebianTree(sources, { into: join(folder, "assembled") });
  renameSync(assembled.root, tree);
  change(join(tree, "bundle", nameIn(join(tree, "bundle"), /^nginx-/)));
  // the locale is in the key of a compiled object
  const env = buildEnvironment({ ...process.env, ...withCompileCache });
  const run = (program: string, args: readonly string[], more = {}) =>
    execFileSync(program, args, {
      cwd: tree,
      env: { ...env, ...more },
      stdio: "pipe",
      maxBuffer: 1 << 28,
    });
  const stream = STREAM_LUA ? ["--with-stream", `--add-module=${STREAM_LUA}`] : [];
  const options = [...suite.suite.configureArgs, "--with-threads", ...CONFIGURE_ARGS, ...stream];
  run("./configure", ["-j2", `--prefix=${prefix}`, ...options], flagsOf(folder));
  run("make", ["-j2"]);
  run("make", ["install"]);
  mkdirSync(join(folder, "done"));
}

/** As `nffi build` passes them; ccache ignores which directories are mapped. */
function flagsOf(folder: string): Record<string, string> {
  const { cFlags, luajitCFlags } = hardeningOf({ flavor: "release" }, {}, process.arch);
  const maps = [repository, nodeApiInclude(), folder].map((dir) => `-ffile-prefix-map=${dir}=/src`);
  return {
    CFLAGS: [...cFlags, "-O2 -g", ...maps].join(" "),
    TARGET_CFLAGS: luajitCFlags.join(" "),
  };
}

/** The text of a file of nginx's source; undefined for another prefix. */
export function sourceOfUnpatched(prefix: string, path: string): string | undefined {
  const bundle = join(dirname(prefix), "tree/bundle");
  if (!existsSync(bundle)) return undefined;
  return readFileSync(join(bundle, nameIn(bundle, /^nginx-/), path), "utf8");
}

function nameIn(folder: string, pattern: RegExp): string {
  const name = readdirSync(folder).find((each) => pattern.test(each));
  if (!name) throw new Error(`${folder} has no ${pattern}`);
  return name;
}

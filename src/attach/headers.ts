/**
 * Finds the headers of exactly the nginx that the glue is compiled for: --nginx-source, Debian's
 * nginx-dev, or the tarball of the OpenResty release. The layout of OpenResty's core differs
 * from nginx's, and nginx does not detect a module that was compiled for the other one.
 */
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { NffiError } from "../errors.js";
import { installHint } from "../host/distribution.js";
import { buildEnvironment, type Environment } from "../host/environment.js";
import { unpack } from "../io/archive.js";
import { run } from "../io/exec.js";
import { exists, kindOf } from "../io/files.js";
import { type NginxProgram, titleOfNginx } from "./nginx-program.js";

export interface HeaderWish {
  /** --nginx-source */
  readonly nginxSource: string | undefined;
  /** Downloads and verifies the archive of an OpenResty release; returns its path. */
  fetchOpenresty(version: string): Promise<string>;
}

export interface HeaderContext {
  readonly env: Environment;
  readonly signal: AbortSignal;
  log(text: string): void;
}

/** Where Debian's nginx-dev has the sources of its nginx. */
const OF_DEBIAN = "/usr/share/nginx/src";

/** Prepares the headers in `scratch`; returns the -I options of a compiler. */
export async function prepareHeaders(
  nginx: NginxProgram,
  wish: HeaderWish,
  scratch: string,
  context: HeaderContext,
): Promise<string> {
  const source = await sourceOf(nginx, wish, scratch, context);
  const tree = join(scratch, "nginx");
  await cp(source, tree, { recursive: true, dereference: true });
  await requireSameCore(nginx, tree, source);
  await configure(tree, context);
  return includesOf(tree);
}

async function sourceOf(
  nginx: NginxProgram,
  wish: HeaderWish,
  scratch: string,
  context: HeaderContext,
): Promise<string> {
  if (wish.nginxSource !== undefined) return requireSource(wish.nginxSource);
  if (!nginx.isOpenresty) return ofDebian(nginx);
  context.log(`fetching OpenResty ${nginx.version} for its headers`);
  const archive = await wish.fetchOpenresty(nginx.version);
  const unpacked = join(scratch, "openresty");
  await unpack(archive, unpacked);
  return join(unpacked, `openresty-${nginx.version}`, "bundle", `nginx-${nginx.core}`);
}

async function requireSource(dir: string): Promise<string> {
  if (await exists(join(dir, "src/core/nginx.h"))) return dir;
  throw new NffiError("usage", `--nginx-source ${dir} has no src/core/nginx.h`, {
    hint:
      "name the directory that the source of this nginx was unpacked into; of an OpenResty:\n" +
      "openresty-VERSION/bundle/nginx-VERSION, whose patches are applied already",
  });
}

async function ofDebian(nginx: NginxProgram): Promise<string> {
  if (await exists(join(OF_DEBIAN, "src/core/nginx.h"))) return OF_DEBIAN;
  throw new NffiError("toolchain-missing", `no headers for ${titleOfNginx(nginx)}`, {
    hint:
      `of Debian's or Ubuntu's nginx: ${installHint(["nginx-dev"])}\n` +
      "of another one: --nginx-source DIR, where the source of exactly this nginx was unpacked",
  });
}

async function requireSameCore(nginx: NginxProgram, tree: string, source: string): Promise<void> {
  const header = await readFile(join(tree, "src/core/nginx.h"), "utf8");
  const version = /define NGINX_VERSION\s+"([^"]+)"/.exec(header)?.[1];
  const isOpenresty = /define NGINX_VER\s+"openresty\//.test(header);
  if (version === nginx.core && isOpenresty === nginx.isOpenresty) return;
  const kind = (openresty: boolean) => (openresty ? "OpenResty's nginx" : "nginx");
  throw new NffiError(
    "usage",
    `${source} is the source of ${kind(isOpenresty)} ${version}, but ${nginx.path} is ` +
      `${kind(nginx.isOpenresty)} ${nginx.core}`,
    {
      hint:
        "their structures differ, and nginx would not notice: name the source of exactly this nginx\n" +
        "with --nginx-source, or install the nginx-dev that belongs to it",
    },
  );
}

/** The minimal configuration, which requires no headers of other libraries. */
const OPTIONS = ["--with-compat", "--without-http_rewrite_module", "--without-http_gzip_module"];

async function configure(tree: string, { env, signal }: HeaderContext): Promise<void> {
  const command = { program: "sh", args: ["./configure", ...OPTIONS], cwd: tree };
  const done = await run({ ...command, env: buildEnvironment(env) }, { signal });
  if (done.exitCode === 0) return;
  throw new NffiError("compile-failed", "nginx's configure fails, which writes its headers", {
    hint: `${done.stdout}${done.stderr}`.trim().split("\n").slice(-8).join("\n"),
  });
}

const FOLDERS = [
  ...["objs", "src/core", "src/event", "src/event/modules", "src/event/quic", "src/os/unix"],
  ...["src/http", "src/http/modules", "src/http/v2", "src/http/v3", "src/stream"],
];

async function includesOf(tree: string): Promise<string> {
  const folders: string[] = [];
  for (const folder of FOLDERS) {
    if ((await kindOf(join(tree, folder))) === "directory") folders.push(join(tree, folder));
  }
  return folders.map((folder) => `-I${folder}`).join(" ");
}

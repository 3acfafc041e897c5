// The headers that the glue is compiled with: one release of nginx serves for all, since the glue
// reads no field whose place differs between them (c-src/ngx/attached). The archive comes from
// Debian's mirror, with Debian's signatures, and is pinned by its hash; nginx's own configure
// writes the rest.
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sha256OfFile } from "../../dist/io/files.js";
import { openDebianArchive, resolveDebianSuite } from "../../dist/sources/debian/debian-source.js";
import { run } from "./run.mjs";

export const NGINX_VERSION = "1.22.1";
const SUITE = "bookworm";
const ARCHIVE = `nginx_${NGINX_VERSION}.orig.tar.gz`;
const SHA256 = "9ebb333a9e82b952acd3e2b4aeb1d4ff6406f72491bab6cd9fe69f0dea737f31";

/** The smallest configuration: it needs no header of another library. */
const OPTIONS = ["--with-compat", "--without-http_rewrite_module", "--without-http_gzip_module"];

const FOLDERS = [
  ...["objs", "src/core", "src/event", "src/event/modules", "src/os/unix"],
  ...["src/http", "src/http/modules", "src/http/v2", "src/stream"],
];

/** Why they cannot be had; undefined if they can. */
export function missingForHeaders(cache) {
  if (existsSync(treeIn(cache)) || existsSync("/usr/bin/apt-get")) return undefined;
  return { what: "apt-get with Debian's archive", packages: ["apt"] };
}

/**
 * Returns the -I options; `compiler` compiles, for this machine, the tests of nginx's configure.
 */
export async function nginxIncludes(cache, compiler, env) {
  const tree = treeIn(cache);
  if (!existsSync(tree)) await prepare(tree, { cache, compiler, env });
  return FOLDERS.map((folder) => `-I${join(tree, folder)}`).join(" ");
}

function treeIn(cache) {
  return join(cache, `nginx-${NGINX_VERSION}`);
}

async function prepare(tree, { cache, compiler, env }) {
  console.error(`nffi: downloading the source of nginx ${NGINX_VERSION} from Debian`);
  const made = mkdtempSync(join(cache, ".nginx-"));
  try {
    const archive = await download(made);
    run("tar", ["-xzf", archive, "-C", made]);
    const unpacked = join(made, `nginx-${NGINX_VERSION}`);
    run("sh", ["./configure", `--with-cc=${compiler}`, ...OPTIONS], { cwd: unpacked, env });
    // which zig does not have; the glue uses nothing of it
    writeFileSync(join(unpacked, "objs/crypt.h"), "");
    renameSync(unpacked, tree);
  } finally {
    rmSync(made, { recursive: true });
  }
}

async function download(dir) {
  const suite = await resolveDebianSuite(SUITE);
  const { apt } = await openDebianArchive(join(dir, "apt"), suite, {});
  const args = ["source", "--download-only", "--only-source", "nginx"];
  const done = await apt.run("apt-get", args, {}, dir);
  const file = join(dir, ARCHIVE);
  if (!existsSync(file)) {
    const found = readdirSync(dir).join(" ");
    throw new Error(`Debian's ${SUITE} has no ${ARCHIVE}: ${found}\n${done.stderr}`);
  }
  const sha256 = await sha256OfFile(file);
  if (sha256 !== SHA256) throw new Error(`${ARCHIVE}: expected SHA-256 ${SHA256}, got ${sha256}`);
  return file;
}

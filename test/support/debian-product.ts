// Debian's own nginx and ngx_lua, of Debian 12 or 13 on a machine of either, with nffi attached by
// the real `nffi attach`. The packages are unpacked once; nginx sees them as a layer of /usr, in a
// separate mount namespace, and the rest of the machine as it is. Requires root.
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { resolveDebianSuite } from "../../src/sources/debian/debian-source.js";
import { preparePrivateApt, updateIndex } from "../../src/sources/debian/private-apt.js";
import type { Place } from "./attached-conf.js";
import { repository, runProgram } from "./cli.js";
import { hashOfInputs } from "./inputs.js";
import { prebuiltFiles } from "./prebuilt.js";

export type DebianSuite = "debian-12" | "debian-13";

const NGINX = [
  ...["nginx", "nginx-common", "libnginx-mod-http-ndk", "libnginx-mod-http-lua"],
  ...["libnginx-mod-stream", "lua-cjson", "lua-resty-core", "lua-resty-lrucache"],
];

/** With the libraries that an older Debian does not have, or has in an older version. */
const DEBIANS: Readonly<Record<DebianSuite, { codename: string; packages: readonly string[] }>> = {
  "debian-12": {
    codename: "bookworm",
    packages: [...NGINX, "libluajit2-5.1-2", "libluajit2-5.1-common"],
  },
  "debian-13": {
    codename: "trixie",
    packages: [
      ...[...NGINX, "libluajit-5.1-2", "libluajit-5.1-common"],
      ...["libc6", "libcrypt1", "libpcre2-8-0", "libssl3t64", "libzstd1", "zlib1g"],
    ],
  },
};

const MODULES = ["ndk_http_module", "ngx_http_lua_module", "ngx_stream_module"].map(
  (name) => `load_module /usr/lib/nginx/modules/${name}.so;`,
);

export function isDebian(suite: string): suite is DebianSuite {
  return Object.hasOwn(DEBIANS, suite);
}

/** The prefix of nffi, attached to the nginx of that Debian. */
export async function debianProduct(suite: DebianSuite): Promise<string> {
  const folder = folderOf(suite);
  const layer = await debianLayer(suite);
  await prebuiltFiles();
  const prefix = join(folder, "attached");
  const key = hashOfInputs(INPUTS_OF_ATTACH, [layer, ...MODULES]);
  const keyFile = join(prefix, "nffi-test-key");
  if (existsSync(keyFile) && readFileSync(keyFile, "utf8") === key) return prefix;
  rmSync(prefix, { recursive: true, force: true });
  const conf = join(folder, "nginx.conf");
  writeFileSync(conf, [...MODULES, "events {}", ""].join("\n"));
  const nffi = `"${process.execPath}" "${join(repository, "bin/nffi.mjs")}"`;
  const options = `--nginx /usr/sbin/nginx --conf "${conf}" --prefix "${prefix}"`;
  // the user's own record of the last attach stays as it was
  const state = `XDG_STATE_HOME="${join(folder, "state")}"`;
  const command = inLayer(layer, `${state} ${nffi} attach ${options}`);
  const attached = await runProgram("sh", ["-c", command]);
  if (attached.exitCode !== 0) throw new Error(`nffi attach: ${attached.stderr}`);
  const program = join(folder, "nginx");
  // Debian's path of the error log is a directory of the system
  const nginx = '/usr/sbin/nginx -e logs/error.log "$@"';
  writeFileSync(program, `#!/bin/sh\n${inLayer(layer, `exec ${nginx}`)}\n`, { mode: 0o755 });
  const luaPath = join(prefix, "lualib/?.lua");
  const place: Place = { program, main: MODULES.join("\n"), luaPath };
  writeFileSync(join(prefix, "nffi-test-place.json"), JSON.stringify(place));
  writeFileSync(keyFile, key);
  return prefix;
}

/** What `nffi attach` copies, and what it is. */
export const INPUTS_OF_ATTACH = [
  ...["bin/nffi-nginx", "c-src/include", "c-src/sdk", "lua", "prebuilt/manifest.json"],
  ...["src/attach", "src/io", "src/node-runtime", "src/pipeline"],
];

/** A shell command that runs `script` where the packages are in /usr; it keeps the process id. */
function inLayer(layer: string, script: string): string {
  const mount = `mount -t overlay nffi -o "lowerdir=${layer}/usr:/usr" /usr`;
  return `exec unshare --mount sh -c '${mount} && ${script}' sh "$@"`;
}

export function folderOf(suite: DebianSuite): string {
  return join(repository, ".nffi/test", suite);
}

/** A directory with the unpacked packages. */
export async function debianLayer(suite: DebianSuite): Promise<string> {
  const folder = folderOf(suite);
  const root = join(folder, "root");
  const listFile = join(root, "nffi-test-packages");
  const list = DEBIANS[suite].packages.join("\n");
  if (existsSync(listFile) && readFileSync(listFile, "utf8") === list) return root;
  rmSync(root, { recursive: true, force: true });
  const made = join(folder, `made.${process.pid}`);
  const downloads = join(made, "packages");
  mkdirSync(downloads, { recursive: true });
  console.log(`downloading the nginx of ${suite} (seconds)`);
  try {
    await download(suite, join(made, "apt"), downloads);
    const unpacked = join(made, "root");
    for (const file of readdirSync(downloads)) {
      execFileSync("dpkg-deb", ["-x", join(downloads, file), unpacked]);
    }
    // Debian 12 has files in /lib, which is a link to /usr/lib on the machine
    if (existsSync(join(unpacked, "lib"))) {
      cpSync(join(unpacked, "lib"), join(unpacked, "usr/lib"), { recursive: true });
      rmSync(join(unpacked, "lib"), { recursive: true });
    }
    writeFileSync(join(unpacked, "nffi-test-packages"), list);
    renameSync(unpacked, root);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
  return root;
}

async function download(suite: DebianSuite, aptDir: string, downloads: string): Promise<void> {
  const { codename, packages } = DEBIANS[suite];
  const { archive } = await resolveDebianSuite(codename);
  const request = { dir: aptDir, suite: codename, archive, withBinaries: true };
  const apt = await preparePrivateApt(request, {});
  await updateIndex(apt, {});
  const done = await apt.run("apt-get", ["download", ...packages], {}, downloads);
  if (done.exitCode !== 0) throw new Error(`apt-get download: ${done.stderr}`);
}

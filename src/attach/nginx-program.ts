/**
 * Finds the nginx to attach to, and identifies it by its file and by `nginx -V`. Refuses a program
 * that cannot load shared objects.
 */
import { constants } from "node:fs";
import { access, realpath } from "node:fs/promises";
import { join, resolve } from "node:path";
import { messageOf, NffiError } from "../errors.js";
import { type Environment, nginxEnvironment } from "../host/environment.js";
import { findProgram } from "../host/tools.js";
import { type ElfObject, elfObjectOf } from "../io/elf-object.js";
import { run } from "../io/exec.js";
import { kindOf } from "../io/files.js";
import { splitWords } from "../io/shell-words.js";

export interface NginxProgram {
  /** The file itself, with links resolved. */
  readonly path: string;
  readonly elf: ElfObject;
  /** As it names itself: "nginx", "openresty", "Angie". */
  readonly name: string;
  /** As it prints it: 1.22.1, or 1.27.1.2 for an OpenResty. */
  readonly version: string;
  /** The version of nginx's core: the first three numbers. */
  readonly core: string;
  /** Its core has the patches of OpenResty, which move fields of two structures. */
  readonly isOpenresty: boolean;
  /** The arguments of its configure. */
  readonly configure: readonly string[];
  /** The nginx prefix: paths in nginx.conf are relative to it, unless nginx gets `-p`. */
  readonly prefix: string;
  readonly conf: string;
}

export interface NginxWish {
  /** --nginx */
  readonly nginx: string | undefined;
  /** --conf */
  readonly conf: string | undefined;
  readonly env: Environment;
  readonly cwd: string;
  /** The processor, as Node names it. */
  readonly arch: string;
}

/** Paths that are often missing from the PATH of a user. */
const PLACES = [
  ...["/usr/local/openresty/bin/openresty", "/usr/local/openresty/nginx/sbin/nginx"],
  ...["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx"],
];

export async function findNginx(wish: NginxWish): Promise<NginxProgram> {
  const path = await fileOf(wish);
  const elf = await elfObjectOf(path).catch((thrown) => {
    throw new NffiError("nginx-missing", `cannot read ${path}: ${messageOf(thrown)}`, {
      hint: "run this as a user that may read it, such as root",
    });
  });
  if (elf === undefined) {
    throw new NffiError("nginx-missing", `${path} is no program of 64 bits that Linux loads`, {
      hint: "name nginx itself with --nginx, not a script that starts it",
    });
  }
  requireLoadable(path, elf, wish.arch);
  return describe(path, elf, await versionOf(path, wish.env), wish);
}

/** Absolute, with links resolved: /usr/bin/openresty is a link. */
async function fileOf({ nginx, env, cwd }: NginxWish): Promise<string> {
  if (nginx !== undefined) return requireFile(resolve(cwd, nginx));
  for (const name of ["openresty", "nginx"]) {
    const found = await findProgram(name, env);
    if (found !== undefined) return requireFile(resolve(cwd, found));
  }
  for (const place of PLACES)
    if ((await kindOf(place, FOLLOW)) === "file") return requireFile(place);
  throw new NffiError("nginx-missing", "no nginx found", {
    hint:
      `looked for openresty and nginx in PATH, and for ${PLACES.join(", ")}\n` +
      "name it with --nginx PATH; Debian: apt-get install nginx libnginx-mod-http-lua\n" +
      "or run `nffi build`, which builds an OpenResty",
  });
}

const FOLLOW = { follow: true };

async function requireFile(path: string): Promise<string> {
  const kind = await kindOf(path, FOLLOW);
  if (kind !== "file") {
    const what = kind === "absent" ? "does not exist" : "is not a file";
    throw new NffiError("nginx-missing", `the nginx ${path} ${what}`, {
      hint: "name the program with --nginx PATH, such as /usr/sbin/nginx",
    });
  }
  try {
    await access(path, constants.X_OK);
  } catch {
    throw new NffiError("nginx-missing", `the nginx ${path} is not executable for this user`, {
      hint: `run this as the user that starts nginx, or as root: chmod +x ${path}`,
    });
  }
  return realpath(path);
}

function requireLoadable(path: string, elf: ElfObject, arch: string): void {
  if (elf.loader?.includes("/ld-musl-")) {
    throw new NffiError(
      "platform-unsupported",
      `${path} is linked with musl, and nffi with glibc`,
      {
        hint:
          "use an image or package that is based on glibc: openresty/openresty:bookworm instead of\n" +
          ":alpine, or Debian's nginx and libnginx-mod-http-lua",
      },
    );
  }
  if (elf.arch !== arch) {
    throw new NffiError(
      "platform-unsupported",
      `${path} is for ${elf.arch}, nffi runs on ${arch}`,
      {
        hint: `run nffi with a Node.js for ${elf.arch}`,
      },
    );
  }
  if (elf.isStatic) {
    throw new NffiError("nginx-unsuitable", `${path} is linked statically: it loads no libraries`, {
      hint: "use an nginx that is linked dynamically, or run `nffi build`, which builds an OpenResty",
    });
  }
}

/** Returns the output of `nginx -V`. */
async function versionOf(path: string, env: Environment): Promise<string> {
  const done = await run({ program: path, args: ["-V"], cwd: "/", env: nginxEnvironment(env) });
  if (done.exitCode === 0) return done.stderr + done.stdout;
  const reason = done.startError ?? done.signal ?? `exit code ${done.exitCode}`;
  const said = done.stderr.trim();
  throw new NffiError("nginx-missing", `${path} -V fails: ${reason}`, {
    hint: said || "start it by hand to see why it does not run on this machine",
  });
}

function describe(path: string, elf: ElfObject, text: string, wish: NginxWish): NginxProgram {
  const printed = parseVersion(text);
  if (printed === undefined) {
    throw new NffiError("nginx-missing", `${path} is not an nginx: -V prints no version`, {
      hint: "name nginx with --nginx PATH",
    });
  }
  const isOpenresty = elf.exports.has("ngx_is_privileged_agent");
  const conf = wish.conf === undefined ? printed.conf : resolve(wish.cwd, wish.conf);
  return { ...printed, path, elf, isOpenresty, conf };
}

type Printed = Pick<NginxProgram, "name" | "version" | "core" | "configure" | "prefix" | "conf">;

/** Parses the output of `nginx -V`; undefined if it has no version of nginx. */
export function parseVersion(text: string): Printed | undefined {
  const [, name = "", version = ""] = /version: ([^/\s]+)\/(\S+)/.exec(text) ?? [];
  // Angie and others also print the version of nginx that they are based on.
  const built = /nginx\/(\d+\.\d+\.\d+)/.exec(text)?.[1];
  const core = built ?? /^\d+\.\d+\.\d+/.exec(version)?.[0];
  if (core === undefined) return undefined;
  const configure = splitWords(/^configure arguments: (.*)$/m.exec(text)?.[1] ?? "");
  const optionOf = (option: string) =>
    configure.findLast((one) => one.startsWith(`--${option}=`))?.slice(option.length + 3);
  const prefix = optionOf("prefix") ?? "/usr/local/nginx";
  const conf = resolve(prefix, optionOf("conf-path") ?? join("conf", "nginx.conf"));
  return { name, version, core, configure, prefix, conf };
}

/** "nginx 1.22.1 (/usr/sbin/nginx)" */
export function titleOfNginx({
  name,
  version,
  path,
}: Pick<NginxProgram, "name" | "version" | "path">) {
  return `${name === "openresty" ? "OpenResty" : name} ${version} (${path})`;
}

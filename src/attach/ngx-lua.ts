/**
 * Finds ngx_lua in an nginx: compiled in, or a dynamic module that its configuration loads. Then
 * starts that nginx briefly to query its Lua: the versions, and where Lua finds modules such as
 * lua-resty-core.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { NffiError } from "../errors.js";
import { installHint } from "../host/distribution.js";
import { type ElfObject, elfObjectOf } from "../io/elf-object.js";
import { exists, kindOf } from "../io/files.js";
import { directivesOf, lastError, type NginxConf, type ReadContext } from "./nginx-conf.js";
import { type NginxProgram, titleOfNginx } from "./nginx-program.js";
import { withScratch } from "./scratch-dir.js";
import { startScratch } from "./scratch-nginx.js";

export interface NgxLua {
  /** The file that contains ngx_lua: the program, or a module. */
  readonly path: string;
  readonly elf: ElfObject;
  /** 0.10.23 */
  readonly version: string;
  /** The version of lua-resty-core, and the file that Lua finds for it. */
  readonly core: string;
  readonly coreFile: string;
  /** `package.path` of its VMs, with the user's lua_package_path in it. */
  readonly luaPath: string;
  /** The user's lua_package_path, if nginx.conf has one. */
  readonly configuredPath: string | undefined;
  /** This nginx has ngx_stream_lua. */
  readonly hasStream: boolean;
  /** Everything that exports symbols to the glue: the program and its modules. */
  readonly objects: readonly LoadedObject[];
}

export interface LoadedObject {
  readonly path: string;
  readonly elf: ElfObject;
}

const HTTP = "ngx_http_lua_module";
const STREAM = "ngx_stream_lua_module";

export async function findNgxLua(
  nginx: NginxProgram,
  conf: NginxConf,
  context: ReadContext,
): Promise<NgxLua> {
  const objects = [nginx, ...(await modulesOf(conf))];
  const home = objects.find(({ elf }) => elf.exports.has(HTTP));
  if (home === undefined) throw await noLua(nginx, conf);
  const configuredPath = directivesOf(conf.files, "lua_package_path")[0]?.words[0];
  const facts = await askLua(nginx, conf, configuredPath, context);
  return {
    ...{ path: home.path, elf: home.elf, objects, configuredPath },
    version: facts.version,
    core: facts.core,
    coreFile: facts.file,
    luaPath: facts.path,
    hasStream: objects.some(({ elf }) => elf.exports.has(STREAM)),
  };
}

async function modulesOf({ modules }: NginxConf): Promise<LoadedObject[]> {
  const objects: LoadedObject[] = [];
  for (const path of modules) {
    const elf = await elfObjectOf(path).catch(() => undefined);
    if (elf) objects.push({ path, elf });
  }
  return objects;
}

const MODULES = "/usr/lib/nginx/modules";
/** The load_module line of libnginx-mod-http-lua, which Debian's nginx.conf includes by a link. */
const LUA_OF_DEBIAN = "/usr/share/nginx/modules-available/mod-http-lua.conf";
const LINK_OF_DEBIAN = "/etc/nginx/modules-enabled/50-mod-http-lua.conf";

async function noLua(nginx: NginxProgram, conf: NginxConf): Promise<NffiError> {
  const title = titleOfNginx(nginx);
  const isCompiledIn = nginx.configure.some((one) =>
    /^--add-module=.*(?:lua-nginx-module|ngx_lua|ngx_http_lua)/.test(one),
  );
  if (isCompiledIn) return hiddenSymbols(title);
  const unloaded = await unloadedModule(nginx);
  if (unloaded !== undefined) {
    const lacksLink =
      unloaded.startsWith(MODULES) &&
      (await exists(LUA_OF_DEBIAN)) &&
      (await kindOf(LINK_OF_DEBIAN)) === "absent";
    return new NffiError("lua-missing", `${title} does not load ${HTTP}.so`, {
      hint:
        (lacksLink
          ? `Debian: run \`ln -s ${LUA_OF_DEBIAN} ${LINK_OF_DEBIAN}\`\n`
          : `add this line to the top of ${nginx.conf}, behind one for ndk_http_module.so: ` +
            `load_module ${unloaded};\n`) +
        (conf.unread ? `nginx -T failed, so the files were read: ${conf.unread}\n` : "") +
        "if nginx runs with another nginx.conf, name it with --conf FILE",
    });
  }
  return new NffiError("lua-missing", `${title} has no ngx_lua, which runs Lua in nginx`, {
    hint:
      `Debian and Ubuntu: ${installHint(["libnginx-mod-http-lua"])}\n` +
      "packages of nginx.org have none: use OpenResty or the distribution's nginx,\n" +
      "or run `nffi build`, which builds an OpenResty",
  });
}

function hiddenSymbols(title: string): NffiError {
  return new NffiError(
    "nginx-unsuitable",
    `${title} exports no symbols: nffi cannot use its ngx_lua`,
    {
      hint:
        "it was linked without -Wl,-E, or its symbols are hidden; build it with --with-ld-opt=-Wl,-E\n" +
        "or run `nffi build`, which builds an OpenResty",
    },
  );
}

/** The module that a package has installed but nginx.conf does not load. */
async function unloadedModule({ configure, prefix }: NginxProgram): Promise<string | undefined> {
  const folder = configure.findLast((one) => one.startsWith("--modules-path="))?.slice(15);
  for (const place of [folder, join(prefix, "modules"), MODULES]) {
    const file = join(place ?? prefix, `${HTTP}.so`);
    if (await exists(file)) return file;
  }
  return undefined;
}

interface LuaFacts {
  readonly version: string;
  readonly core: string;
  readonly file: string;
  readonly path: string;
}

/** Runs in the master before there are workers; os.exit ends nginx. */
const QUESTIONS = `
    init_by_lua_block {
        local base = require "resty.core.base"
        local file = assert(io.open(ngx.config.prefix() .. "facts", "w"))
        file:write(ngx.config.ngx_lua_version, "\\n", base.version, "\\n",
                   package.searchpath("resty.core.base", package.path) or "", "\\n",
                   package.path, "\\n")
        file:close()
        os.exit(0)
    }`;

const PATIENCE_MS = 20_000;

async function askLua(
  nginx: NginxProgram,
  { modules }: NginxConf,
  configuredPath: string | undefined,
  { env, signal }: ReadContext,
): Promise<LuaFacts> {
  return withScratch({ env }, async (dir) => {
    const luaPath = configuredPath ?? ";;";
    const conf = { modules, user: undefined, luaPath, http: QUESTIONS };
    const running = await startScratch(nginx, conf, dir, env);
    try {
      const deadline = Date.now() + PATIENCE_MS;
      while (running.ended() === undefined && Date.now() < deadline) {
        signal.throwIfAborted();
        await sleep(10);
      }
      const text = await readFile(join(dir, "facts"), "utf8").catch(() => undefined);
      if (text === undefined) throw notStarted(nginx, await running.errorLog());
      const [number = "", core = "", file = "", path = ""] = text.split("\n");
      return { version: versionOfNumber(Number(number)), core, file, path };
    } finally {
      await running.stop();
    }
  });
}

/** 10023 is 0.10.23. */
function versionOfNumber(number: number): string {
  return [Math.floor(number / 1e6), Math.floor(number / 1e3) % 1e3, number % 1e3].join(".");
}

function notStarted(nginx: NginxProgram, log: string): NffiError {
  const title = titleOfNginx(nginx);
  const required = /(ngx_(?:http|stream)_lua_module [\d.]+) required/.exec(log)?.[1];
  if (required !== undefined) {
    return new NffiError("lua-missing", `the lua-resty-core of ${title} is for ${required}`, {
      hint:
        "install the lua-resty-core that belongs to this ngx_lua; of one OpenResty or distribution\n" +
        "all parts fit. A copy that comes first in lua_package_path or LUA_PATH can hide it",
      cause: lastError(log),
    });
  }
  if (/module 'resty\.core(?:\.\w+)?' not found/.test(log)) {
    return new NffiError("lua-missing", `${title} finds no lua-resty-core`, {
      hint:
        `Debian and Ubuntu: ${installHint(["lua-resty-core"])}\n` +
        "elsewhere: add its directory to lua_package_path in nginx.conf",
    });
  }
  return new NffiError("nginx-unsuitable", `${title} does not start with its own modules`, {
    hint: lastError(log) ?? log.trim().split("\n").slice(-5).join("\n"),
  });
}

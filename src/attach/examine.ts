/** Checks that nffi can be attached to an nginx, before anything is written. */
import { NffiError } from "../errors.js";
import type { AttachedNginx } from "../pipeline/manifest.js";
import { directivesOf, type NginxConf, type ReadContext, readConf } from "./nginx-conf.js";
import { findNginx, type NginxProgram, type NginxWish, titleOfNginx } from "./nginx-program.js";
import { findNgxLua, type NgxLua } from "./ngx-lua.js";

export interface Examined {
  readonly nginx: NginxProgram;
  readonly conf: NginxConf;
  readonly ngxLua: NgxLua;
}

export interface ExamineContext extends ReadContext {
  log(text: string): void;
  warn(text: string): void;
}

export interface ExamineWish extends NginxWish {
  /** --force: accepts versions that were not tested. */
  readonly force: boolean;
}

export async function examine(wish: ExamineWish, context: ExamineContext): Promise<Examined> {
  const nginx = await findNginx(wish);
  context.log(`nginx: ${titleOfNginx(nginx)}, configuration ${nginx.conf}`);
  requireNotBuilt(nginx);
  requireTested(nginx, wish.force, context);
  const conf = await readConf(nginx, context);
  requireNoOtherMethod(conf);
  const ngxLua = await findNgxLua(nginx, conf, context);
  requireEpoll(nginx);
  if (conf.unread !== undefined) reportUnread(nginx, conf.unread, context);
  context.log(
    `ngx_lua ${ngxLua.version} in ${ngxLua.path}, lua-resty-core ${ngxLua.core} in ${ngxLua.coreFile}`,
  );
  return { nginx, conf, ngxLua };
}

/** A user who may not run nginx -T cannot find out whether nginx accepts its configuration. */
function reportUnread(nginx: NginxProgram, reason: string, context: ExamineContext): void {
  context.log(`nginx -T failed, the files were read instead: ${reason}`);
  if (reason.includes("(13: Permission denied)")) return;
  context.warn(
    `nginx refuses ${nginx.conf}: ${reason}; correct it first: until then, a reload changes nothing`,
  );
}

/** The part of the manifest that describes the nginx. */
export function recordOf({ nginx, conf, ngxLua }: Examined): AttachedNginx {
  return {
    path: nginx.path,
    name: nginx.name,
    version: nginx.version,
    core: nginx.core,
    openresty: nginx.isOpenresty,
    ...(nginx.elf.buildId !== undefined && { buildId: nginx.elf.buildId }),
    ngxLua: ngxLua.version,
    ngxLuaPath: ngxLua.path,
    ...(ngxLua.elf.buildId !== undefined && { ngxLuaBuildId: ngxLua.elf.buildId }),
    luaRestyCore: ngxLua.core,
    stream: ngxLua.hasStream,
    conf: nginx.conf,
    modules: conf.modules,
  };
}

function requireNotBuilt(nginx: NginxProgram): void {
  if (!nginx.elf.exports.has("ngx_http_lua_nonblocking_ffi_abi_version")) return;
  throw new NffiError("nginx-unsuitable", `${titleOfNginx(nginx)} was built by nffi`, {
    hint: "do not attach to it: it contains the glue. `nffi new-runtime` creates a project for it",
  });
}

/** The oldest and the newest core whose structures were compared with what the glue expects. */
const OLDEST = [1, 21, 4];
const NEWEST = [1, 29, 8];

function requireTested(nginx: NginxProgram, force: boolean, context: ExamineContext): void {
  const version = nginx.core.split(".").map(Number);
  const title = titleOfNginx(nginx);
  if (compare(version, NEWEST) > 0) {
    const newest = NEWEST.join(".");
    context.warn(
      `${title} is newer than nginx ${newest}, the newest that nffi knows; the proof decides`,
    );
  }
  if (compare(version, OLDEST) >= 0) return;
  const reason = `${title} is older than nginx ${OLDEST.join(".")}, the oldest that nffi is tested with`;
  if (force) {
    context.warn(`${reason}; the proof decides`);
    return;
  }
  throw new NffiError("nginx-unsuitable", reason, {
    hint: "use a newer nginx, or run `nffi build`; --force tries it all the same, and proves it",
  });
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < 3; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** An edge-triggered eventfd wakes the event loop; poll(2) and select(2) support none. */
function requireNoOtherMethod(conf: NginxConf): void {
  const use = directivesOf(conf.files, "use").find(({ words }) => words[0] !== "epoll");
  if (use === undefined) return;
  throw new NffiError(
    "nginx-unsuitable",
    `${use.file} has \`use ${use.words[0]};\` in events { }`,
    {
      hint: "nffi works with epoll only, attached or built: remove this line, and nginx on Linux uses epoll",
    },
  );
}

function requireEpoll(nginx: NginxProgram): void {
  if (nginx.elf.exports.has("ngx_epoll_module")) return;
  throw new NffiError("nginx-unsuitable", `${titleOfNginx(nginx)} was built without epoll`, {
    hint: "use another nginx, or run `nffi build`, which builds an OpenResty",
  });
}

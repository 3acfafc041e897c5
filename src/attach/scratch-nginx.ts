/**
 * A temporary nginx of the user's program: in a new directory, on a unix socket, with the
 * modules that the user's configuration loads. Every path that the program was compiled with (logs,
 * pid, lock, temporary files) is replaced, so it shares nothing with a running nginx.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Environment, nginxEnvironment } from "../host/environment.js";
import { type RunningProgram, start } from "../io/exec.js";
import { makePublic } from "../io/public-modes.js";
import type { NginxProgram } from "./nginx-program.js";
import { temporaryPaths } from "./project-nginx.js";

export interface ScratchConf {
  /** The dynamic modules to load. */
  readonly modules: readonly string[];
  /** The arguments of `user`; undefined: nginx needs none. */
  readonly user: string | undefined;
  readonly luaPath: string;
  /** Further directives of the main level. */
  readonly main?: string;
  /** Directives of the http level. */
  readonly http: string;
}

export interface ScratchNginx {
  readonly dir: string;
  readonly pid: number | undefined;
  ended(): string | undefined;
  errorLog(): Promise<string>;
  stop(): Promise<void>;
}

export async function startScratch(
  nginx: NginxProgram,
  conf: ScratchConf,
  dir: string,
  env: Environment,
): Promise<ScratchNginx> {
  await mkdir(join(dir, "temp"), { recursive: true });
  const file = join(dir, "nginx.conf");
  await writeFile(file, confText(conf, nginx));
  // the files of the caller as well: the workers may run as another user
  await makePublic(dir);
  const log = join(dir, "error.log");
  const running: RunningProgram = await start(
    {
      program: nginx.path,
      args: ["-p", `${dir}/`, "-c", file, "-e", log],
      cwd: dir,
      env: nginxEnvironment(env),
    },
    join(dir, "output.log"),
  );
  const read = (name: string) => readFile(join(dir, name), "utf8").catch(() => "");
  return {
    dir,
    pid: running.pid,
    ended: running.ended,
    errorLog: async () => (await read("error.log")) + (await read("output.log")),
    stop: running.stop,
  };
}

function confText(
  { modules, user, luaPath, main = "", http }: ScratchConf,
  { configure }: NginxProgram,
): string {
  return `
${modules.map((path) => `load_module "${path}";`).join("\n")}
daemon off;
${user === undefined ? "" : `user ${user};`}
worker_processes 1;
pid nginx.pid;
lock_file nginx.lock;
error_log error.log info;
events { worker_connections 64; }
${main}
http {
    access_log off;
${temporaryPaths(configure)
  .map((directive) => `    ${directive} temp/${directive};`)
  .join("\n")}
    lua_package_path "${luaPath}";
${http}
}
`;
}

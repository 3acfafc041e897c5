// The product that a benchmark measures, and an nginx of it.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** The prefix: the first argument, or this clone's. Exits with 2 if no product is there. */
export function productPrefix() {
  const prefix = resolve(process.argv[2] ?? ".nffi/openresty");
  if (existsSync(join(prefix, "nffi/lib/libnffi_echo.so"))) return prefix;
  console.error(`no product of nffi in ${prefix}: pass the prefix of one`);
  process.exit(2);
}

/**
 * Starts the nginx of `prefix` in the directory `dir`, with the configuration `conf`. Its logs are
 * in DIR/logs. `before`: a program and arguments that run it. Returns { pid, stop() }.
 */
export function startNginx({ prefix, dir, conf, before = [] }) {
  mkdirSync(join(dir, "logs"), { recursive: true });
  writeFileSync(join(dir, "nginx.conf"), conf);
  const nginx = [join(prefix, "nginx/sbin/nginx"), "-p", dir, "-c", join(dir, "nginx.conf")];
  const [program, ...args] = [...before, ...nginx, "-e", "logs/error.log"];
  const child = spawn(program, args, { stdio: "inherit" });
  const ended = new Promise((done) => child.once("exit", done));
  return {
    pid: child.pid,
    async stop() {
      // a master that is killed leaves its workers
      child.kill("SIGTERM");
      await ended;
    },
  };
}

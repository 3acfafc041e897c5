/** A module in Node with functions that show, or misuse, the process in which it is hosted. */
import { content } from "./lua.js";
import type { Nginx, NginxOptions } from "./nginx.js";
import { statOf } from "./processes.js";

const MODULE = `
import { spawn } from "node:child_process";
import { appendFileSync, readFileSync } from "node:fs";
const later = (ms: number) => new Promise((done) => setTimeout(done, ms));
export const pid = () => process.pid;
export const busy = (ms: number) => { const end = Date.now() + ms; while (Date.now() < end); return process.pid; };
export const slow = async (ms: number) => { await later(ms); return process.pid; };
export const spin = () => { for (;;); };
export const whole = () => ({ env: process.env, cwd: process.cwd(), uid: process.getuid!(), gid: process.getgid!(), groups: process.getgroups!() });
export const status = () => readFileSync("/proc/self/status", "utf8") + readFileSync("/proc/self/limits", "utf8");
export const nice = () => Number(readFileSync("/proc/self/stat", "utf8").replace(/^.*\\)/s, "").split(" ")[17]);
export const grow = () => { const kept = []; for (;;) kept.push(Buffer.alloc(16 << 20, 1)); };
export const daemon = () => new Promise<number>((done) => {
  const child = spawn("/bin/sh", ["-c", "setsid sh -c 'setsid sleep 60 & echo $!'"], { detached: true });
  child.stdout.once("data", (text) => done(Number(text)));
});
export const once = async (file: string) => { appendFileSync(file, "x"); await later(60_000); };
`;

/** GET /<name>?m=method&v=value: a call of the runtime with these options. */
export function location(name: string, options: string): string {
  return content(
    `= /${name}`,
    `local rt, err, code = nffi.load("node", { module = "module.ts", ${options} })
     if not rt then ngx.say(show(err, code)) return end
     local v = ngx.var.arg_v
     local response, message, code = rt.methods[ngx.var.arg_m](rt.methods, tonumber(v) or v)
     ngx.say(response and require("cjson").encode(response) or show(response, message, code))`,
  );
}

/** GET /<name>: the result of load() with a program that is no runtime. */
export function shell(name: string, script: string, more = ""): string {
  return content(
    `= /${name}`,
    `local rt, err, code = nffi.load("node", { module = "module.ts", program = "/bin/sh",
         node_args = { "-c", [[${script}]] }, start_timeout = 2000, ${more} })
     ngx.say(rt and select(2, rt.methods:pid()) or show(err, code))`,
  );
}

export const options = (more: NginxOptions): NginxOptions => ({
  files: { "module.ts": MODULE },
  ...more,
});

export const call = (nginx: Nginx, name: string, method: string, value: string | number = "") =>
  nginx.get(`/${name}?m=${method}&v=${value}`);

export function isRunning(pid: number): boolean {
  const stat = statOf(pid);
  return stat !== undefined && stat.state !== "Z";
}

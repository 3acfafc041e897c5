// A run of a CI system: an empty home and workspace and a bare environment; the cache of the CI
// system stays, and so do npm's downloads and ccache's objects.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { runProgram } from "./cli.js";
import { compileCache } from "./compile-cache.js";

const npmConfig = (name: string) =>
  execFileSync("npm", ["config", "get", name], { encoding: "utf8", stdio: "pipe" }).trim();

/** `env -i`, but for where this machine's packages come from and what was downloaded before. */
export function bareEnvironment(home: string): Record<string, string> {
  mkdirSync(home, { recursive: true });
  return {
    PATH: process.env.PATH ?? "",
    HOME: home,
    npm_config_userconfig: npmConfig("userconfig"),
    npm_config_cache: npmConfig("cache"),
    npm_config_loglevel: "error",
    ...compileCache,
    ...(process.env.NODE_EXTRA_CA_CERTS && {
      NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS,
    }),
  };
}

export async function runScript(
  shell: readonly string[],
  script: string,
  { cwd, env }: { readonly cwd: string; readonly env: Record<string, string> },
): Promise<string> {
  const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const args = ["-i", ...assignments, ...shell, "-c", script];
  const result = await runProgram("env", args, { cwd });
  if (result.exitCode !== 0) {
    throw new Error(`exit code ${result.exitCode}\n${result.stdout}\n${result.stderr}`);
  }
  return result.stdout;
}

export interface BuiltEvent {
  readonly event: string;
  readonly prefix: string;
  readonly unchanged: boolean;
}

export function lastEvent(file: string): BuiltEvent {
  return JSON.parse(readFileSync(file, "utf8").trim().split("\n").at(-1) ?? "{}");
}

export async function expectNginx(prefix: string): Promise<void> {
  const told = await runProgram(join(prefix, "bin/openresty"), ["-V"]);
  expect(told.stderr).toContain(`--prefix=${prefix}`);
}

// Runs the steps of docs/ci.md and action.yml for a CI system, from the texts themselves, twice:
// the second time nothing is built. Each run has an empty home and workspace and a bare
// environment; the cache of the CI system stays, and so do npm's downloads and ccache's objects.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { repository, runCli, runProgram } from "../support/cli.js";
import { compileCache } from "../support/compile-cache.js";
import { temporaryFolderOfAll } from "../support/temporary.js";

const npmConfig = (name: string) =>
  execFileSync("npm", ["config", "get", name], { encoding: "utf8", stdio: "pipe" }).trim();

/** `env -i`, but for where this machine's packages come from and what was downloaded before. */
function bareEnvironment(home: string): Record<string, string> {
  mkdirSync(home, { recursive: true });
  return {
    PATH: process.env.PATH ?? "",
    HOME: home,
    npm_config_userconfig: npmConfig("userconfig"),
    npm_config_cache: npmConfig("cache"),
    npm_config_loglevel: "error",
    ...compileCache(dirname(home)),
    ...(process.env.NODE_EXTRA_CA_CERTS && {
      NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS,
    }),
  };
}

async function runScript(
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

interface BuiltEvent {
  readonly event: string;
  readonly prefix: string;
  readonly unchanged: boolean;
}

function lastEvent(file: string): BuiltEvent {
  return JSON.parse(readFileSync(file, "utf8").trim().split("\n").at(-1) ?? "{}");
}

async function expectNginx(prefix: string): Promise<void> {
  const told = await runProgram(join(prefix, "bin/openresty"), ["-V"]);
  expect(told.stderr).toContain(`--prefix=${prefix}`);
}

describe("docs/ci.md, other CI systems", () => {
  const folder = temporaryFolderOfAll();
  const workspace = join(folder, "workspace");
  const cache = join(folder, "cache");
  const script = /^## Other CI systems\n[\s\S]*?^```sh\n([\s\S]*?)^```$/m.exec(
    readFileSync(join(repository, "docs/ci.md"), "utf8"),
  )?.[1];

  beforeAll(async () => {
    mkdirSync(cache);
    const packed = await runProgram("npm", ["pack", "--pack-destination", folder]);
    expect(packed.exitCode).toBe(0);
  });

  async function run(name: string): Promise<BuiltEvent> {
    rmSync(workspace, { recursive: true, force: true });
    mkdirSync(workspace);
    const [tarball = ""] = readdirSync(folder).filter((file) => file.endsWith(".tgz"));
    cpSync(join(folder, tarball), join(workspace, tarball));
    const env = { ...bareEnvironment(join(folder, `home-${name}`)), CI: "true", CI_CACHE: cache };
    await runScript(["sh"], script ?? "exit 1", { cwd: workspace, env });
    return lastEvent(join(workspace, "build.ndjson"));
  }

  test("the first run builds, the second takes what the first has kept", async () => {
    const prefix = join(workspace, "openresty");
    expect(await run("first")).toMatchObject({ event: "built", prefix, unchanged: false });
    expect(await run("second")).toMatchObject({ event: "built", prefix, unchanged: true });
    await expectNginx(prefix);
    expect(existsSync(join(folder, "home-second/.cache/nffi/work"))).toBe(false);
  }, 900_000);
});

interface Step {
  readonly id?: string;
  readonly uses?: string;
  readonly with?: Readonly<Record<string, string>>;
  readonly shell?: string;
  readonly run?: string;
  readonly env?: Readonly<Record<string, string>>;
}

interface Action {
  readonly inputs: Readonly<Record<string, { readonly default: string }>>;
  readonly outputs: Readonly<Record<string, { readonly value: string }>>;
  readonly runs: { readonly steps: readonly Step[] };
}

describe("action.yml", () => {
  const folder = temporaryFolderOfAll();
  const workspace = join(folder, "workspace");
  const cache = join(folder, "cache");
  const action: Action = parse(readFileSync(join(repository, "action.yml"), "utf8"));

  /** As a runner of GitHub does it; the outputs of the action by name. */
  async function run(name: string, inputs: Record<string, string>) {
    const home = join(folder, `runner-${name}`);
    const checkout = join(home, "action");
    copyCheckout(checkout);
    rmSync(workspace, { recursive: true, force: true });
    mkdirSync(workspace);
    const env = {
      ...bareEnvironment(home),
      CI: "true",
      GITHUB_ACTIONS: "true",
      GITHUB_ACTION_PATH: checkout,
      GITHUB_OUTPUT: join(home, "output"),
      RUNNER_TEMP: home,
    };
    const values: Record<string, string> = { "runner.os": "Linux", "runner.arch": "X64" };
    for (const [input, { default: fallback }] of Object.entries(action.inputs)) {
      values[`inputs.${input}`] = inputs[input] ?? fallback;
    }
    const filled = (text: string) =>
      text.replace(/\$\{\{ (\S+) \}\}/g, (_all, place: string) => values[place] ?? "");
    const afterwards: (() => void)[] = [];

    for (const step of action.runs.steps) {
      if (step.uses !== undefined) {
        expect(step.uses).toBe("actions/cache@v4");
        const path = join(workspace, filled(step.with?.path ?? ""));
        const kept = join(cache, filled(step.with?.key ?? ""));
        afterwards.push(restore(kept, path));
        continue;
      }
      // a value in the script itself would be run as code
      expect(step.run).not.toContain("${{");
      const own = Object.entries(step.env ?? {}).map(([name, value]) => [name, filled(value)]);
      const shell = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"];
      await runScript(shell, step.run ?? "exit 1", {
        cwd: workspace,
        env: { ...env, ...Object.fromEntries(own) },
      });
      if (step.id !== undefined && existsSync(env.GITHUB_OUTPUT)) {
        for (const line of readFileSync(env.GITHUB_OUTPUT, "utf8").trim().split("\n")) {
          const [output = "", value = ""] = line.split(/=(.*)/);
          values[`steps.${step.id}.outputs.${output}`] = value;
        }
        rmSync(env.GITHUB_OUTPUT);
      }
    }
    for (const save of afterwards) save();
    const events = join(home, "nffi-build.ndjson");
    const outputs = Object.entries(action.outputs).map(([key, { value }]) => [key, filled(value)]);
    return { event: lastEvent(events), outputs: Object.fromEntries(outputs) };
  }

  /** What actions/cache does; what it returns is done when the job has succeeded. */
  function restore(kept: string, path: string): () => void {
    if (existsSync(kept)) {
      cpSync(kept, path, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
      return () => {};
    }
    return () => cpSync(path, kept, { recursive: true, verbatimSymlinks: true });
  }

  test("the first run builds, the second takes it from the cache; others do not", async () => {
    const prefix = join(workspace, ".nffi/openresty");
    const inputs = { source: "debian", args: "--\n--with-http_v2_module\n" };
    const first = await run("first", inputs);
    expect(first.event).toMatchObject({ event: "built", unchanged: false });
    expect(first.outputs).toMatchObject({ prefix, unchanged: "false" });
    expect(first.outputs.key).toMatch(/^[0-9a-f]{64}$/);

    const second = await run("second", inputs);
    expect(second.event).toMatchObject({ event: "built", unchanged: true });
    expect(second.outputs).toEqual({ prefix, unchanged: "true", key: first.outputs.key });
    await expectNginx(prefix);
  }, 900_000);
});

/** The files of the repository, without what was installed or built in it. */
function copyCheckout(into: string): void {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard"];
  const listed = execFileSync("git", args, { cwd: repository, encoding: "utf8" });
  for (const path of new Set(listed.trim().split("\n"))) {
    if (!existsSync(join(repository, path))) continue;
    mkdirSync(dirname(join(into, path)), { recursive: true });
    cpSync(join(repository, path), join(into, path));
  }
}

describe("nffi cache key", () => {
  const keyOf = async (...args: string[]) => {
    const result = await runCli(["cache", "key", ...args]);
    expect(result.stderr).toBe("");
    return result.stdout.trim();
  };

  test("changes with what a build depends on, and with nothing else", async () => {
    const key = await keyOf("--source", "debian");
    expect(key).toMatch(/^[0-9a-f]{64}$/);
    expect(await keyOf("--source", "debian", "--jobs", "1", "--retries", "0")).toBe(key);
    const others = [
      await keyOf("--source", "debian", "--prefix", "/opt/other"),
      await keyOf("--source", "debian", "--with-debug"),
      await keyOf("--source", "debian", "--", "--with-http_v2_module"),
      await keyOf("--openresty", "1.27.1.2"),
    ];
    expect(new Set([key, ...others]).size).toBe(5);
  });

  test("equals the key of the manifest; --parts prints its parts", async () => {
    const told = JSON.parse(await keyOf("--source", "debian", "--parts"));
    expect(told.key).toBe(await keyOf("--source", "debian"));
    expect(told.parts).toMatchObject({ source: "Debian trixie", flavor: "release" });
  });

  test("requires a command line that nffi build would accept", async () => {
    const result = await runCli(["cache", "key", "--source", "/no/such.tar.gz"]);
    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain("file or directory not found");
  });
});

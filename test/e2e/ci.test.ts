// Runs the steps of action.yml for a CI system, from the text itself, twice: the first time builds
// a release archive from a URL, the second time nothing. docs/ci.md has steps for other CI systems:
// test/full/ci.test.ts runs those.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { copyCheckout } from "../support/checkout.js";
import { bareEnvironment, expectNginx, lastEvent, runScript } from "../support/ci-run.js";
import { repository, runCli } from "../support/cli.js";
import { CONFIGURE_ARGS } from "../support/configure-args.js";
import { withNginx } from "../support/nginx.js";
import { builtOpenresty } from "../support/openresty.js";
import { serveRelease } from "../support/release-archive.js";
import { temporaryFolderOfAll } from "../support/temporary.js";

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

  beforeAll(async () => void (await builtOpenresty())); // its compiled objects are used

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
    const release = await serveRelease(folder);
    const configureArgs = [...release.configureArgs, ...CONFIGURE_ARGS];
    const args = ["--sha256", release.sha256, "--", ...configureArgs, ""].join("\n");
    const inputs = { source: release.url, args };
    const first = await run("first", inputs);
    expect(readdirSync(workspace)).toEqual([".nffi"]);
    expect(first.event).toMatchObject({ event: "built", unchanged: false });
    expect(first.outputs).toMatchObject({ prefix, unchanged: "false" });
    expect(first.outputs.key).toMatch(/^[0-9a-f]{64}$/);

    const second = await run("second", inputs);
    expect(second.event).toMatchObject({ event: "built", unchanged: true });
    expect(second.outputs).toEqual({ prefix, unchanged: "true", key: first.outputs.key });
    await expectEcho(prefix);
  }, 900_000);

  async function expectEcho(prefix: string): Promise<void> {
    await expectNginx(prefix);
    const server = `location / { content_by_lua_block {
      local echo = ngx.load_nonblocking_ffi("${prefix}/nffi/lib/libnffi_echo.so", "")
      ngx.print(select(2, echo:echo("restored")))
    } }`;
    await withNginx({ prefix, server }, async (nginx) => {
      expect(await nginx.get("/")).toBe("restored");
    });
  }
});

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

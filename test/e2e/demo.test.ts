// `npm run demo` against the OpenResty that the tests share: what it prints, what it leaves, and
// how it fails.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { freePort } from "../../src/io/port.js";
import { repository } from "../support/cli.js";
import { until } from "../support/nginx.js";
import { builtOpenresty } from "../support/openresty.js";
import { commandLineOf, familyOf } from "../support/processes.js";
import { temporaryFolder } from "../support/temporary.js";

let prefix: string;

beforeAll(async () => {
  prefix = await builtOpenresty();
});

interface Demo {
  readonly process: ChildProcess;
  readonly output: () => string;
  readonly exitCode: Promise<number | null>;
}

function startDemo(args: readonly string[], env: NodeJS.ProcessEnv = process.env): Demo {
  const options = { cwd: repository, env: { ...env, npm_config_loglevel: "error" } };
  const script = ["scripts/bootstrap.mjs", "scripts/demo.mjs", ...args];
  const child = spawn(process.execPath, script, options);
  onTestFinished(() => void child.kill());
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const exitCode = new Promise<number | null>((done) => child.once("close", done));
  return { process: child, output: () => output, exitCode };
}

/** Programs that run in the demo's project or on its behalf. */
function leftovers(): string[] {
  return familyOf(1)
    .map(({ pid }) => commandLineOf(pid))
    .filter((line) => line.includes(".nffi/demo/hello"));
}

test("shows each command and the answer, twice, and leaves nothing running", async () => {
  const port = String(await freePort());
  for (const _time of ["first", "second"]) {
    const demo = startDemo(["--prefix", prefix, "--port", port]);
    expect(await demo.exitCode, demo.output()).toBe(0);
    expect(demo.output()).toContain("$ npm install");
    expect(demo.output()).toContain(`/hello?name=World'\nhello World\n`);
    expect(leftovers()).toEqual([]);
  }
});

test("an occupied port is reported before anything is done", async () => {
  const other = createServer();
  await new Promise<void>((done) => other.listen(0, "127.0.0.1", done));
  onTestFinished(() => void other.close());
  const { port } = other.address() as { port: number };
  const demo = startDemo(["--prefix", prefix, "--port", String(port)]);
  expect(await demo.exitCode).toBe(17);
  expect(demo.output()).toBe(
    `nffi: port ${port} is used by another program\n` +
      `  hint: choose another one: npm run demo -- --port ${port + 1}\n`,
  );
});

test("a port that is none, and an unknown option, are errors of usage", async () => {
  const noPort = startDemo(["--port", "http"]);
  expect(await noPort.exitCode).toBe(2);
  expect(noPort.output()).toBe('nffi: --port expects a number from 1 to 65535, got "http"\n');
  const unknown = startDemo(["--fast"]);
  expect(await unknown.exitCode).toBe(2);
  expect(unknown.output()).toContain("npm run demo -- [options]");
});

test("says which packages are missing, and installs them as root or with consent only", async () => {
  const programs = temporaryFolder();
  const asked = join(programs, "asked");
  const stub = (name: string, script: string) =>
    writeFileSync(join(programs, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  stub(
    "dpkg-query",
    'case "$*" in --version) ;; *gcc) exit 1 ;; *) echo "Status: install ok installed" ;; esac',
  );
  stub("apt-get", `echo "$*" >> "${asked}"; case "$*" in *install*) exit 100 ;; esac`);
  stub("sudo", 'exec "$@"');
  const env = { ...process.env, NFFI_YES: "", PATH: `${programs}:${process.env.PATH}` };
  const port = String(await freePort());
  const args = ["--port", port, "--prefix", join(programs, "none")];

  const isRoot = process.getuid?.() === 0;
  if (!isRoot) {
    const refused = startDemo(args, env);
    expect(await refused.exitCode).toBe(4);
    expect(refused.output()).toContain("sudo apt-get install --no-install-recommends gcc\n");
    expect(existsSync(asked)).toBe(false);
  }
  const installing = startDemo(isRoot ? args : [...args, "--yes"], env);
  expect(await installing.exitCode).toBe(4);
  expect(installing.output()).toContain("Missing packages of the operating system: gcc\n");
  expect(installing.output()).toContain("nffi: the packages could not be installed, see above\n");
  expect(readFileSync(asked, "utf8")).toMatch(
    /^update\ninstall .*--no-install-recommends.* gcc\n$/,
  );
});

test("ended by SIGTERM it ends what it has started", async () => {
  const demo = startDemo(["--prefix", prefix, "--port", String(await freePort())]);
  await until(() => demo.output().includes("$ npm install"), 30_000, demo.output);
  demo.process.kill("SIGTERM");
  expect(await demo.exitCode, demo.output()).toBe(143);
  expect(leftovers()).toEqual([]);
});

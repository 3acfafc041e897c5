// The output of a build for programs, and for people who prefer silence or colours.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { STEPS } from "../../src/pipeline/reporter.js";
import { repository, runCli } from "../support/cli.js";
import { makeFakeRelease, WITHOUT_JAVA } from "../support/fake-release.js";
import { anySuite, buildArgs, builtOpenresty } from "../support/openresty.js";
import { temporaryFolder } from "../support/temporary.js";

function failing(source?: string) {
  const folder = temporaryFolder();
  const configure = "echo 'x.c:1: error: no semicolon'; exit 1";
  const tree = makeFakeRelease(join(folder, "tree"), { configure });
  const folders = ["--prefix", join(folder, "prefix"), "--work-dir", join(folder, "work")];
  return ["build", "--source", source ?? tree, ...folders];
}

const eventsOf = (stdout: string) =>
  stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test("--json reports every step and how the build failed", async () => {
  const result = await runCli([...failing(), "--json"], { env: WITHOUT_JAVA });
  const events = eventsOf(result.stdout);
  const documented = readFileSync(join(repository, "docs/json.md"), "utf8");
  for (const { format, event, time } of events) {
    expect(format).toBe(1);
    expect(documented).toContain(`| \`${event}\` |`);
    expect(Date.parse(time)).toBeGreaterThan(0);
  }
  expect(events.map(({ event }) => event).slice(-2)).toEqual(["step-failed", "failed"]);
  expect(events.at(-1)).toMatchObject({
    code: "compile-failed",
    exitCode: result.exitCode,
    step: "configure",
    diagnosis: { error: "x.c:1: error: no semicolon" },
  });
  expect(result.stderr).toMatch(/^nffi: configure failed/);
  for (const step of Object.keys(STEPS)) expect(documented).toContain(`\`${step}\``);
});

test("--json reports a failure before the first step", async () => {
  const result = await runCli([...failing("/no/such.tar.gz"), "--json"]);
  expect(eventsOf(result.stdout).at(-1)).toMatchObject({ event: "failed", exitCode: 2 });
});

test.skipIf(process.env.NFFI_TEST_PREFIX)("--json ends with what was built", async () => {
  const prefix = await builtOpenresty();
  const result = await runCli(buildArgs(anySuite, ["--json"]));
  const last = eventsOf(result.stdout).at(-1);
  expect(last).toMatchObject({ event: "built", prefix, nginx: `${prefix}/nginx/sbin/nginx` });
});

test("--quiet prints the error only", async () => {
  const result = await runCli([...failing(), "--quiet"], { env: WITHOUT_JAVA });
  expect(result.stdout).toBe("");
  expect(result.stderr).toMatch(/^nffi: configure failed/);
});

test("FORCE_COLOR colours the error, NO_COLOR does not", async () => {
  const args = failing("/no/such.tar.gz");
  const run = (env: Record<string, string | undefined>) =>
    runCli(args, { env: { NO_COLOR: undefined, FORCE_COLOR: undefined, ...env } });
  expect((await run({ FORCE_COLOR: "1" })).stderr).toContain("\u001b[31mnffi:\u001b[39m ");
  expect((await run({})).stderr).toMatch(/^nffi: /);
  expect((await run({ NO_COLOR: "1" })).stderr).toMatch(/^nffi: /);
});

test("nffi.config.json of the project is used, and --help explains the precedence", async () => {
  const folder = temporaryFolder();
  makeFakeRelease(join(folder, "tree"), { configure: 'echo "error: $*"; exit 1' });
  const config = { source: "./tree", prefix: "p", workDir: "w", configure: ["--with-mine"] };
  writeFileSync(join(folder, "nffi.config.json"), JSON.stringify(config));
  const env = { ...WITHOUT_JAVA, NFFI_PREFIX: undefined };
  const result = await runCli(["build", "--", "--with-more"], { cwd: folder, env });
  expect(result.exitCode).toBe(11);
  expect(result.stderr).toContain(`--prefix=${folder}/p`);
  expect(result.stderr).toContain("--with-mine --with-more");
  const help = await runCli(["build", "--help"]);
  expect(help.stdout).toContain("nffi.config.json");
});

// A project of `nffi new-runtime` for the tests of a file: made by the real command, used through a
// shell, and removed at the end.
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, onTestFinished } from "vitest";
import { freePort } from "../../src/io/port.js";
import { runCli } from "./cli.js";
import { builtOpenresty } from "./openresty.js";

type Env = Readonly<Record<string, string | undefined>>;

export interface ProjectOptions {
  readonly name?: string;
  /** --lang; undefined for the default. */
  readonly language?: string;
  /** Added to the environment of the shell. */
  readonly env?: Env;
  /** Stops its nginx after each test. */
  readonly stop?: string;
}

export interface GeneratedProject {
  /** The directory where `nffi new-runtime` ran. */
  readonly parent: string;
  readonly project: string;
  /** From the first test on: the OpenResty that it runs on. */
  readonly prefix: string;
  /** From the first test on: the commands that `nffi new-runtime` has printed as the next ones. */
  readonly lines: readonly string[];
  /** Runs commands in the project, or in `cwd`. */
  shell(commands: readonly string[], cwd?: string, env?: Env): SpawnSyncReturns<string>;
  /** Replaces text in a file of the project until the test has ended. */
  change(path: string, from: string, to: string): void;
}

/** To be called in a file or a `describe`, not in a test or hook. */
export function generatedProject(options: ProjectOptions): GeneratedProject {
  const { name = "greeter", language, env, stop = "make stop" } = options;
  // only its owner may read it, as the home directory of a user
  const parent = mkdtempSync(join(tmpdir(), "nffi-test-"));
  const project = join(parent, name);
  let prefix = "";
  let lines: readonly string[] = [];
  const shell: GeneratedProject["shell"] = (commands, cwd = project, more = {}) =>
    shellIn(cwd, commands, { ...env, ...more });

  beforeAll(async () => {
    prefix = await builtOpenresty();
    const args = ["new-runtime", name, "--prefix", prefix, "--port", String(await freePort())];
    if (language !== undefined) args.push("--lang", language);
    const made = await runCli(args, { cwd: parent });
    expect(made.stderr).toBe("");
    lines = (made.stdout.split("next:\n")[1] ?? "").trimEnd().split("\n");
  });
  afterEach(() => void shell([stop]));
  afterAll(() => rmSync(parent, { recursive: true, force: true }));

  return {
    parent,
    project,
    get prefix() {
      return prefix;
    },
    get lines() {
      return lines;
    },
    shell,
    change: (path, from, to) => changeFile(join(project, path), from, to),
  };
}

/** One shell, as a user has, that stops at the first command that fails. */
export function shellIn(
  cwd: string,
  commands: readonly string[],
  env: Env,
): SpawnSyncReturns<string> {
  return spawnSync("sh", ["-e", "-c", commands.join("\n")], {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
  });
}

/** Runs the lines that were printed, which start the project, ask it and stop it. */
export function expectPrintedLines({ parent, lines, shell }: GeneratedProject) {
  const ran = shell(lines, parent);
  expect(ran.stdout, ran.stderr).toMatch(/nginx listens on http:\/\/127\.0\.0\.1:\d+ /);
  expect(ran.stdout).toContain("\nhello World\n");
  expect(ran.stdout).toContain("nginx has stopped");
  expect(ran.status, ran.stderr).toBe(0);
  return ran;
}

function changeFile(file: string, from: string, to: string): void {
  const text = readFileSync(file, "utf8");
  expect(text).toContain(from);
  onTestFinished(() => writeFileSync(file, text));
  writeFileSync(file, text.replaceAll(from, to));
}

// Runs the CI file of a project in a copy of its directory, step by step like a runner of GitHub.
// Two things are not done: the machine has its packages already, and `nffi build` checks its
// options with the real command, but the OpenResty of the tests is linked to its place.
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parse } from "yaml";
import { repository } from "./cli.js";
import { temporaryFolder } from "./temporary.js";

interface Step {
  readonly id?: string;
  readonly uses?: string;
  readonly with?: Readonly<Record<string, string>>;
  readonly run?: string;
  readonly env?: Readonly<Record<string, string>>;
}

interface Workflow {
  readonly jobs: Readonly<
    Record<string, { readonly env?: Record<string, string>; readonly steps: readonly Step[] }>
  >;
}

export interface WorkflowRun {
  /** The output of the steps, including stderr. */
  readonly output: string;
  /** The key of the cache that holds the OpenResty. */
  readonly cacheKey: string;
  /** The checkout, as the steps left it. */
  readonly folder: string;
}

/** Throws with the output of the first step that fails. */
export function runWorkflow(project: string, prefix: string, options: Options = {}): WorkflowRun {
  const folder = join(temporaryFolder(), "workspace");
  cpSync(project, folder, { recursive: true, filter: (path) => !isMade(path) });
  const workflow: Workflow = parse(readFileSync(join(folder, ".github/workflows/ci.yml"), "utf8"));
  const [job] = Object.values(workflow.jobs);
  const told = join(folder, "..", "output");
  const bin = commandInPlaceOfNffi(folder, prefix, options.packed);
  const outputs: Record<string, string> = {};
  let output = "";
  let cacheKey = "";
  for (const step of job?.steps ?? []) {
    const filled = (text: string) =>
      text.replace(/\$\{\{ (\S+) \}\}/g, (_all, place: string) => outputs[place] ?? "");
    if (step.uses?.startsWith("actions/cache@")) cacheKey = filled(step.with?.key ?? "");
    if (step.run === undefined || FOR_THE_MACHINE.test(step.run)) continue;
    if (isInstallOfNffi(step) && !options.packed) continue;
    writeFileSync(told, "");
    const ofJob = Object.entries(job?.env ?? {}).map(([name, text]) => [name, filled(text)]);
    const env = {
      ...process.env,
      ...options.env,
      ...Object.fromEntries(ofJob),
      npm_config_prefix: join(folder, "..", "npm"),
      PATH: `${bin}:${options.env?.PATH ?? process.env.PATH}`,
      GITHUB_OUTPUT: told,
      ...step.env,
    };
    const ran = spawnSync("sh", ["-e", "-c", filled(step.run)], {
      cwd: folder,
      env,
      encoding: "utf8",
    });
    output += ran.stdout + ran.stderr;
    if (ran.status !== 0) throw new Error(`step failed: ${step.run}\n${output}`);
    for (const line of readFileSync(told, "utf8").trim().split("\n")) {
      const [name = "", value = ""] = line.split("=");
      outputs[`steps.${step.id}.outputs.${name}`] = value;
    }
  }
  return { output, cacheKey, folder };
}

interface Options {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The package of nffi, which the project then has and its steps install; else this clone. */
  readonly packed?: string;
}

const FOR_THE_MACHINE = /\bapt-get\b|\brustup component\b/;

function isInstallOfNffi({ run }: Step): boolean {
  return /\bnpm install --global .*nffi-/.test(run ?? "");
}

/**
 * A directory with `nffi`: `cache key` is the real one; of `build`, only its options are checked.
 */
function commandInPlaceOfNffi(folder: string, prefix: string, packed?: string): string {
  const bin = join(folder, "..", "bin");
  mkdirSync(bin);
  const command = join(bin, "nffi");
  if (packed) copyFileSync(packed, join(folder, basename(packed)));
  const real = packed
    ? `"${join(folder, "..", "npm/bin/nffi")}" "$@"`
    : `"${process.execPath}" "${join(repository, "bin/nffi.mjs")}" "$@"`;
  writeFileSync(
    command,
    `#!/bin/sh
set -eu
[ "$1" = build ] || exec ${real}
${real} --dry-run --json > /dev/null
while [ "$1" != --prefix ]; do shift; done
mkdir -p "$(dirname "$2")"
ln -s "${prefix}" "$2"
`,
  );
  chmodSync(command, 0o755);
  return bin;
}

/** A checkout has none of what was built before. */
function isMade(path: string): boolean {
  return /\/(build|run|run-test|node_modules|dist|target|\.nffi)(\/|$)/.test(path);
}

/** `nffi doctor`: one look at the machine -> a table, and what installs what is missing. */
import { join } from "node:path";
import type { Command } from "commander";
import type { Family } from "../catalog/system-packages.js";
import { NffiError } from "../errors.js";
import { checkMachine } from "../host/checkup/checkup.js";
import type { Finding } from "../host/checkup/finding.js";
import { currentFamily, installCommands, installHint } from "../host/distribution.js";
import { cacheDir, wholeEnvironment } from "../host/environment.js";
import { currentPlatform } from "../host/platform.js";
import { packagesForOpenresty } from "../host/toolchain.js";
import { isRoot } from "../host/user.js";
import { run } from "../io/exec.js";
import { prefixOf } from "../pipeline/product.js";
import { DEBIAN_SUITES } from "../sources/debian/suites.js";
import { table } from "../ui/table.js";
import type { CommandContext } from "./context.js";
import { declared } from "./declared.js";
import { productWishOf } from "./settings.js";

interface DoctorOptions {
  json?: boolean;
  fix?: boolean;
  yes?: boolean;
}

export function doctorCommand(context: CommandContext): Command {
  return declared("doctor")
    .option("--json", "print the findings as JSON")
    .option("--fix", "print the command that installs what is missing; root may have it run")
    .option("--yes", "with --fix, as root: run that command without asking")
    .action(async (options: DoctorOptions) => {
      let findings = await examine(context);
      if (options.fix && (await fix(findings, options, context))) findings = await examine(context);
      for (const line of linesOf(findings, options)) context.print(line);
      requireNothingMissing(findings);
    });
}

async function examine(context: CommandContext): Promise<Finding[]> {
  const { env } = context;
  const { prefix } = prefixOf(await productWishOf(undefined, context));
  return checkMachine({
    env,
    platform: currentPlatform(),
    folders: { work: join(cacheDir(env), "work"), prefix },
    packages: [
      { debian: "perl", program: "perl" },
      { debian: "util-linux", program: "flock" },
      ...packagesForOpenresty(2),
      ...(DEBIAN_SUITES[0]?.requiredPackages ?? []),
    ],
  });
}

function linesOf(findings: readonly Finding[], options: DoctorOptions): string[] {
  if (options.json) {
    const ready = findings.every(({ status }) => status !== "missing");
    return [JSON.stringify({ format: 1, ready, findings }, null, 2)];
  }
  return table(findings.map(({ status, name, found }) => [status, name, found]));
}

function packagesMissing(findings: readonly Finding[]): string[] {
  const missing = findings.filter(({ status }) => status === "missing");
  return [...new Set(missing.flatMap(({ debian }) => (debian ? [debian] : [])))];
}

function requireNothingMissing(findings: readonly Finding[]): void {
  const missing = findings.filter(({ status }) => status === "missing");
  if (missing.length === 0) return;
  const packages = packagesMissing(findings);
  const names = missing.map(({ name }) => name).join("; ");
  throw new NffiError("toolchain-missing", `a build cannot work here: ${names}`, {
    hint: packages.length > 0 ? installHint(packages) : undefined,
  });
}

/** Prints the command, and as root with consent runs it; whether it did. */
async function fix(
  findings: readonly Finding[],
  options: DoctorOptions,
  context: CommandContext,
): Promise<boolean> {
  const packages = packagesMissing(findings);
  const family = currentFamily();
  const say = options.json ? () => {} : context.print;
  if (packages.length === 0) say("no package is missing");
  if (packages.length === 0 || !family) return false;

  say(installHint(packages));
  if (!isRoot() || !(options.yes || (await context.confirm("run this command?")))) return false;
  for (const command of installCommands(packages, family))
    await install(command, family, say, context);
  return true;
}

async function install(
  [program = "", ...args]: readonly string[],
  family: Family,
  say: (line: string) => void,
  { env, signal }: CommandContext,
): Promise<void> {
  const consent = family === "arch" ? "--noconfirm" : "-y";
  const { exitCode } = await run(
    {
      program,
      args: [...args, consent],
      env: { ...wholeEnvironment(env), DEBIAN_FRONTEND: "noninteractive" },
    },
    { signal, onOutput: (text) => say(text.trimEnd()) },
  );
  if (exitCode === 0) return;
  throw new NffiError("toolchain-missing", `${program} has failed`, {
    hint: family === "debian" ? "run `apt-get update` first" : undefined,
  });
}

/** The part of a checkup that a build cannot do without: compiler, programs, headers. */
import { run } from "../../io/exec.js";
import { buildEnvironment, type Environment } from "../environment.js";
import { compilerOf, EVERY_BUILD, hasHeader, type RequiredPackage } from "../toolchain.js";
import { findProgram } from "../tools.js";
import { type Finding, finding } from "./finding.js";

export async function checkToolchain(
  packages: readonly RequiredPackage[],
  env: Environment,
): Promise<Finding[]> {
  const findings = [await checkCompiler(env)];
  const seen = new Set(["gcc", "cc"]);
  for (const one of [...EVERY_BUILD, ...packages]) {
    const name = one.program ?? one.header ?? one.debian;
    if (seen.has(name)) continue;
    seen.add(name);
    if (one.program) findings.push(await checkProgram(one.program, one.debian, env));
    else if (one.header) findings.push(await checkHeader(one.header, one.debian, env));
  }
  return findings;
}

async function checkCompiler(env: Environment): Promise<Finding> {
  const name = "C compiler";
  const compiler = compilerOf(env);
  const [program = "cc"] = compiler.split(/\s+/);
  const path = await findProgram(program, env);
  if (!path) return finding("missing", name, `no ${program} in PATH`, "gcc");
  return finding("ok", name, `${path}, ${await firstLineOf(path, ["--version"], env)}`);
}

async function checkProgram(program: string, debian: string, env: Environment): Promise<Finding> {
  const path = await findProgram(program, env);
  return path
    ? finding("ok", program, path)
    : finding("missing", program, "not found in PATH", debian);
}

async function checkHeader(header: string, debian: string, env: Environment): Promise<Finding> {
  return (await hasHeader(header, env))
    ? finding("ok", header, "found")
    : finding("missing", header, "header not found", debian);
}

/** The first line that a program prints, on whichever stream. */
export async function firstLineOf(
  program: string,
  args: readonly string[],
  env: Environment,
): Promise<string> {
  const { exitCode, stdout, stderr } = await run(
    { program, args, env: buildEnvironment(env) },
    { timeoutMs: 10_000 },
  );
  const line = `${stdout}\n${stderr}`.split("\n").find((text) => text.trim() !== "");
  return exitCode === 0 && line ? line.trim() : "does not print its version";
}

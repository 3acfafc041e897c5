/** The plan of a build for people; its commands can be pasted into a shell. */
import { shellWord, shellWords } from "../io/shell-words.js";
import type { BuildPlan } from "../pipeline/dry-run.js";

export function linesOfPlan(plan: BuildPlan): string[] {
  const downloads = plan.downloads.flatMap(({ url, sha256 }, index) => [
    `${index === 0 ? "download" : "or      "}  ${url}`,
    ...(sha256 ? [`  sha256  ${sha256}`] : []),
  ]);
  const patches = plan.patches.flatMap(({ name, component, below, sha256 }) => [
    `patch     ${component ?? "(by its paths)"}: ${name}${below ? ` (before ${below})` : ""}`,
    `  sha256  ${sha256}`,
  ]);
  const commands = plan.commands.flatMap(({ step, folder, env, argv }) => {
    const variables = Object.entries(env).map(([name, value]) => `${name}=${shellWord(value)}`);
    return [`# ${step}`, `cd ${shellWord(folder)}`, [...variables, shellWords(argv)].join(" ")];
  });
  return [
    `source    ${plan.source}`,
    ...downloads,
    ...patches,
    `work in   ${plan.workDir}`,
    `install   ${plan.prefix}`,
    ...commands,
  ];
}

// The completion scripts, run by the shells they are for, where those are installed.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runCli } from "../support/cli.js";
import { temporaryFolder } from "../support/temporary.js";

/** The arguments that bash passes to the function: the word at the cursor, and the previous one. */
const quotedEnd = (words: string[]) => `'${words.at(-1)}' '${words.at(-2) ?? "nffi"}'`;

const has = (shell: string) => spawnSync(shell, ["-c", "exit 0"]).status === 0;

async function scriptFor(shell: string): Promise<string> {
  const result = await runCli(["completion", shell]);
  expect(result.exitCode).toBe(0);
  const file = join(temporaryFolder(), "completion");
  writeFileSync(file, result.stdout);
  return file;
}

function inShell(shell: string, commands: string, cwd = "/"): string {
  const result = spawnSync(shell, ["-c", commands], { encoding: "utf8", cwd });
  expect(result.stderr).toBe("");
  return result.stdout;
}

test.runIf(has("bash"))("bash completes commands, options and files", async () => {
  const script = await scriptFor("bash");
  const folder = temporaryFolder();
  writeFileSync(join(folder, "mine.patch"), "");
  const complete = (...words: string[]) => {
    const list = words.map((word) => `'${word}'`).join(" ");
    const state = `COMP_WORDS=(nffi ${list}); COMP_CWORD=${words.length}`;
    const commands = `. ${script}; ${state}; _nffi nffi ${quotedEnd(words)}; echo "\${COMPREPLY[*]}"`;
    return inShell("bash", commands, folder).trim();
  };
  expect(complete("cache", "ve")).toBe("verify");
  expect(complete("uni")).toBe("uninstall");
  expect(complete("build", "--verb")).toBe("--verbose");
  expect(complete("doctor", "--f")).toBe("--fix");
  expect(complete("build", "--patch", "mi")).toBe("mine.patch");
  expect(complete("build", "--flavor", "de")).toBe("debug");
  expect(complete("new-runtime", "x", "--lang", "ty")).toBe("typescript");
  expect(complete("build", "--openresty", "1.27.1.2")).toBe("1.27.1.2");
  expect(complete("build", "--source", "mi")).toBe("mine.patch");
  expect(complete("completion", "z")).toBe("zsh");
  expect(complete("cache", "list", "--js")).toBe("--json");
});

test.runIf(has("bash"))("bash completes a value with a colon, and one behind =", async () => {
  const script = await scriptFor("bash");
  // bash splits what the user has typed at the colon and at =
  const complete = (line: string, words: string[]) => {
    const state = `COMP_WORDS=(${words.join(" ")}); COMP_CWORD=${words.length - 1}`;
    const typed = `COMP_LINE='${line}'; COMP_POINT=${line.length}`;
    const commands = `. ${script}; ${state}; ${typed}; _nffi nffi '${words.at(-1)}' '${words.at(-2)}'; echo "\${COMPREPLY[*]}"`;
    return inShell("bash", commands).trim();
  };
  const split = ["nffi", "build", "--source", "debian", ":", "tr"];
  expect(complete("nffi build --source debian:tr", split)).toBe("trixie");
  expect(complete("nffi build --flavor=as", ["nffi", "build", "--flavor", "=", "as"])).toBe("asan");
});

test.runIf(has("zsh"))("zsh accepts its script", async () => {
  const script = await scriptFor("zsh");
  inShell("zsh", `autoload -U compinit; compinit -D -u; . ${script}; whence -w _nffi`);
});

test.runIf(has("fish"))("fish completes commands and options", async () => {
  const script = await scriptFor("fish");
  const shown = inShell(
    "fish",
    `source ${script}; complete -C 'nffi uni'; complete -C 'nffi build --verb'; ` +
      "complete -C 'nffi new-runtime x --lang py'",
  );
  expect(shown).toContain("\npython");
  expect(shown).toContain("uninstall\t");
  expect(shown).toContain("--verbose\t");
});

test.each(["zsh", "fish"])("the script for %s has every command", async (shell) => {
  const result = await runCli(["completion", shell]);
  for (const name of ["build", "doctor", "verify", "new-runtime", "work-dir"]) {
    expect(result.stdout).toContain(name);
  }
});

test("another shell is refused", async () => {
  const result = await runCli(["completion", "cmd"]);
  expect(result.exitCode).toBe(2);
  expect(result.stderr).toContain("bash, zsh, fish");
});

// Projects of `nffi new-runtime` in all languages, as they are committed.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LANGUAGES } from "../../../src/catalog/languages.js";
import { repository, runCli } from "../../support/cli.js";
import { builtOpenresty } from "../../support/openresty.js";

let prefix: string;
const parent = mkdtempSync(join(tmpdir(), "nffi-test-"));

beforeAll(async () => {
  prefix = await builtOpenresty();
});

afterAll(() => rmSync(parent, { recursive: true, force: true }));

function git(cwd: string, ...args: string[]): string {
  const ran = spawnSync("git", args, { cwd, encoding: "utf8" });
  expect([0, 1], ran.stderr).toContain(ran.status);
  return ran.stdout;
}

test.each(LANGUAGES.map(({ name }) => name))(
  "%s: what git takes of it has no path of this machine, and the build is in reach",
  async (language) => {
    const name = `my-${language}`;
    const args = ["new-runtime", name, "--lang", language, "--prefix", prefix];
    const made = await runCli(args, { cwd: parent });
    expect(made.stderr).toBe("");
    expect(made.stdout).toContain(`  .nffi/openresty -> ${prefix}\n`);
    const project = join(parent, name);
    git(project, "init", "--quiet");
    git(project, "add", "--all");
    expect(git(project, "ls-files", ".nffi")).toBe("");
    expect(git(project, "ls-files")).toContain("Dockerfile\n");
    // a home of root is in the Dockerfile, as the place of a cache
    const homes = homedir() === "/root" ? [] : [homedir()];
    const names = [prefix, repository, parent, ...homes].flatMap((path) => ["-e", path]);
    expect(git(project, "grep", "--cached", "-n", "-F", ...names)).toBe("");
    const info = await runCli(["info", "--json"], { cwd: project });
    expect(JSON.parse(info.stdout).prefix).toBe(prefix);
  },
);

// The hook that checks commit subjects, and the subject of the newest commit.
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/cli.js";
import { read } from "../support/prose.js";
import { temporaryFolder } from "../support/temporary.js";

const HOOK = join(repository, "scripts/hooks/commit-msg");

function check(message: string): { status: number | null; stderr: string } {
  const file = join(temporaryFolder(), "message");
  writeFileSync(file, message);
  return spawnSync(HOOK, [file], { encoding: "utf8" });
}

/** Undefined where there is no git, or no repository (a source archive). */
function newestSubject(): string | undefined {
  if (!existsSync(join(repository, ".git"))) return undefined;
  const git = spawnSync("git", ["log", "-1", "--no-merges", "--format=%s"], {
    cwd: repository,
    encoding: "utf8",
  });
  return git.status === 0 ? git.stdout.trim() : undefined;
}

test("the subject of the newest commit passes the hook", (context) => {
  const subject = newestSubject();
  if (subject === undefined || subject === "") return context.skip("no commit to look at");
  expect(check(subject).stderr).toBe("");
});

test.each([
  "docs: add a glossary",
  "# a comment of git\n\nlua: process all chunks\n\nBecause.\n",
  "Merge branch 'main' into topic",
  'Revert "docs: add a glossary"',
])("accepts %j", (message) => {
  expect(check(message)).toMatchObject({ status: 0, stderr: "" });
});

test.each([
  ["add a glossary", "no area"],
  ["kitchen: add a sink", 'unknown area "kitchen"'],
  ["docs: added a glossary", "imperative"],
  ["docs: fixes a link", "imperative"],
  ["docs: Add a glossary", "lower-case"],
  ["docs: add a glossary.", "full stop"],
  [`docs: add ${"x".repeat(63)}`, "72 characters"],
])("refuses %j", (message, reason) => {
  const { status, stderr } = check(message);
  expect(status).toBe(1);
  expect(stderr).toContain(reason);
});

test("CONTRIBUTING.md lists the areas that the hook knows", () => {
  const areas = /areas="([^"]+)"/.exec(read(repository, "scripts/hooks/commit-msg"))?.[1] ?? "";
  const rows = read(repository, "CONTRIBUTING.md").split("## Commits")[1] ?? "";
  const listed = [...rows.matchAll(/^\| `([a-z-]+)`/gm)].map(([, area]) => area);
  expect(listed).toEqual(areas.split(/\s+/));
});

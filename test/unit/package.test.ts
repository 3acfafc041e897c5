// One version everywhere: the changelog, the Lua module and the README refer to this package.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/cli.js";

const read = (path: string) => readFileSync(join(repository, path), "utf8");
const { version, repository: home, bugs, homepage } = JSON.parse(read("package.json"));

test.each([
  ["package-lock.json", /"name": "nffi",\s+"version": "([^"]+)"/],
  ["CHANGELOG.md", /^## (\d.*)$/m],
  ["README.md", /nffi-(\d[\w.-]*)\.tgz/],
  ["lua/resty/nffi.lua", /_VERSION = "([^"]+)"/],
  ["c-src/Makefile", /^VERSION \?= (.*)$/m],
])("%s has the version of package.json", (path, place) => {
  expect(place.exec(read(path))?.[1]).toBe(version);
});

test("the changelog has something to say of the version, and what is new comes first", () => {
  const titles = [...read("CHANGELOG.md").matchAll(/^## (.*)$/gm)].map(([, title]) => title);
  expect(titles.filter((title) => title !== "Unreleased")[0]).toBe(version);
  expect(titles.indexOf("Unreleased")).toBeLessThanOrEqual(0);
  const text = read("CHANGELOG.md").split(`## ${version}`)[1]?.split("\n## ")[0] ?? "";
  expect(text).toMatch(/^- /m);
});

test("says nothing of places that do not exist", () => {
  expect([home, bugs, homepage]).toEqual([undefined, undefined, undefined]);
});

test("no document runs a package by a name that it does not have yet", () => {
  for (const path of ["README.md", "docs/ci.md", "templates/typescript/README.md"]) {
    const text = read(path);
    const calls = [...text.matchAll(/\bnpx\s+(?!--no-install\b)([^`\n]*)/g)].map(
      ([, args]) => args,
    );
    const ofTheFile = calls.filter((args) => /^(--yes )?--package \S+\.tgz\b/.test(args ?? ""));
    expect(calls).toEqual(ofTheFile);
    expect(text).not.toMatch(/\bnpm (install|i|add)\b[^`\n]* (nffi|@nffi\/\w+)\b(?!-)/);
  }
});

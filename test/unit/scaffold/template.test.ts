import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LANGUAGES } from "../../../src/catalog/languages.js";
import { readTemplate } from "../../../src/scaffold/template.js";
import { repository } from "../../support/cli.js";
import { temporaryFolder } from "../../support/temporary.js";

test("what building a template where it lies leaves behind is no part of it", async () => {
  const folder = temporaryFolder();
  for (const name of ["src", "dist", "node_modules", "run"]) mkdirSync(join(folder, name));
  for (const path of ["src/a.ts", "dist/a.js", "node_modules/x", "run/log", "package-lock.json"]) {
    writeFileSync(join(folder, path), path);
  }
  expect(await readTemplate(folder, ["."])).toEqual([{ path: "src/a.ts", text: "src/a.ts" }]);
});

test("files that have a dot in a project are stored without it", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "github/workflows"), { recursive: true });
  mkdirSync(join(folder, "src"));
  for (const path of ["gitignore", "github/workflows/ci.yml", "src/github", "githubber"]) {
    writeFileSync(join(folder, path), "");
  }
  const paths = (await readTemplate(folder, ["."])).map(({ path }) => path);
  expect(paths.sort()).toEqual([
    ".github/workflows/ci.yml",
    ".gitignore",
    "githubber",
    "src/github",
  ]);
});

test("a package without its templates says so", async () => {
  await expect(readTemplate(temporaryFolder(), ["none"])).rejects.toMatchObject({
    code: "input-missing",
    message: expect.stringContaining("cannot read the template"),
  });
});

test.each(LANGUAGES)("a client that goes ends its call: $name", async ({ templates }) => {
  const files = await readTemplate(join(repository, "templates"), templates);
  const conf = files.find(({ path }) => path === "nginx.conf")?.text;
  expect(conf).toContain("lua_check_client_abort on;");
});

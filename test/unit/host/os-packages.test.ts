// One list of system packages: the one by which `nffi build` and `nffi doctor` check a machine. The
// other places cannot import it, so they are compared with it.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LANGUAGES } from "../../../src/catalog/languages.js";
import { EVERY_BUILD } from "../../../src/host/toolchain.js";
import { DEBIAN_SUITES } from "../../../src/sources/debian/suites.js";
import { repository } from "../../support/cli.js";

const TRIXIE = DEBIAN_SUITES.find(({ name }) => name === "trixie")?.requiredPackages ?? [];

const NEEDED = [...EVERY_BUILD, ...TRIXIE]
  .map(({ debian }) => debian)
  .filter((name, index, all) => all.indexOf(name) === index)
  .sort();

/** The C compiler depends on these packages, so a list may omit them. */
const WITH_COMPILER = ["binutils"];

/** Packages that a place installs for another purpose. */
const OTHER: readonly string[] = [
  "ccache", // a second build of the image takes seconds
  "default-jdk-headless", // the bridge of Java
  "dpkg-dev",
];

const PLACES = [
  "examples/docker/Dockerfile",
  ...LANGUAGES.flatMap(({ name }) => [
    `templates/${name}/Dockerfile`,
    `templates/${name}/github/workflows/ci.yml`,
  ]),
];

test("the scripts of this repository", async () => {
  const { FOR_BUILD } = await import(join(repository, "scripts/os-packages.mjs"));
  expect([...FOR_BUILD].sort()).toEqual(NEEDED);
});

test.each(PLACES)("%s", (place) => {
  const text = readFileSync(join(repository, place), "utf8");
  const list = /^.* libpcre2-dev .*$/m.exec(text)?.[0] ?? "";
  const names = list
    .trim()
    .split(" ")
    .filter((name) => !OTHER.includes(name));
  expect(names).toEqual(NEEDED.filter((name) => !WITH_COMPILER.includes(name)));
});

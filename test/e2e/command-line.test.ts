// The words of the command line, and how nffi is called: what a user meets before any build.
import { cpSync, mkdirSync, readlinkSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { version } from "../../src/host/package.js";
import { repository, runCli, runProgram } from "../support/cli.js";
import { modulesLoadedBy } from "../support/loaded-modules.js";
import { temporaryFolder } from "../support/temporary.js";

test("version prints what --version does", async () => {
  const said = await runCli(["version"]);
  expect(said).toMatchObject({ exitCode: 0, stdout: `${version}\n`, stderr: "" });
  expect((await runCli(["--version"])).stdout).toBe(said.stdout);
});

test("help shows the help of a command", async () => {
  expect((await runCli(["help"])).stdout).toBe((await runCli(["--help"])).stdout);
  expect((await runCli(["help", "build"])).stdout).toMatch(/^Usage: nffi build /);
  expect((await runCli(["help", "cache", "list"])).stdout).toMatch(/^Usage: nffi cache list /);
});

test.each([["--version"], ["--help"], ["version"], ["help"]])(
  "%s loads no command and no library but the parser of the command line",
  async (word) => {
    const { own, packages } = await modulesLoadedBy([word]);
    expect(own).toContain("commands/declared");
    expect(own.filter((path) => /^(pipeline|sources|scaffold|types)\//.test(path))).toEqual([]);
    expect(packages).toEqual(["commander"]);
  },
);

test("a command loads its own modules only", async () => {
  const { own, packages } = await modulesLoadedBy(["list"]);
  const commands = own.filter((path) => path.startsWith("commands/")).sort();
  expect(commands).toEqual(
    ["declared", "list", "load", "settings"].map((name) => `commands/${name}`),
  );
  expect(packages).toEqual(["commander"]);
});

test("a current directory that was removed is named, without a stack trace", async () => {
  const folder = join(temporaryFolder(), "gone");
  mkdirSync(folder);
  const nffi = [process.execPath, join(repository, "bin/nffi.mjs"), "list"];
  const failed = await runProgram("sh", ["-c", 'rmdir "$PWD" && exec "$@"', "sh", ...nffi], {
    cwd: folder,
  });
  expect(failed.stderr).toMatch(/^nffi: the current directory does not exist\n {2}hint: /);
  expect(failed.stderr).not.toContain("    at ");
  expect(failed.exitCode).toBe(2);
});

test("nffi bench replaces nothing but its own reports", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "product"));
  symlinkSync("product", join(folder, "link"));
  for (const [option, name] of [
    ["--json", "link"],
    ["--json", "product"],
    ["--html", "link"],
  ]) {
    const failed = await runCli(["bench", option ?? "", name ?? ""], { cwd: folder });
    expect(failed.stderr).toContain(`${option} ${name} exists and is no report of nffi bench`);
    expect(failed.exitCode).toBe(20);
  }
  expect(readlinkSync(join(folder, "link"))).toBe("product");
});

const typos = [
  [["buildx"], "unknown command 'buildx'", "Did you mean build?"],
  [["help", "buildx"], 'unknown command "buildx"', "did you mean build?"],
  [["help", "cache", "lst"], 'unknown command "lst"', "did you mean list?"],
  [["help", "frobnicate"], 'unknown command "frobnicate"', "--help` lists the commands"],
  [["cache", "lst"], "unknown command 'lst'", "Did you mean list?"],
  [["build", "--qiet"], "unknown option '--qiet'", "Did you mean --quiet?"],
  [
    ["build", "--dry-run", "--", "--prefix=x"],
    "--prefix is an option of nffi, not of",
    "put it before --",
  ],
  [["build", "--dry-run", "--", "--jobs", "2"], "--jobs is an option of nffi", "put it before"],
  [["cache", "key", "--", "--dry-run"], "--dry-run is an option of nffi", "put it before --"],
  [["doctor", "--", "--fix"], "too many arguments for 'doctor'", "Expected 0 arguments"],
  [["new-runtime", "x", "--lang", "pyton"], 'unknown language "pyton"', "did you mean python?"],
  [["new-runtime", "x", "--lang", "Rsut"], 'unknown language "Rsut"', "did you mean rust?"],
  [["new-runtime", "x", "--lang", "cobol"], 'unknown language "cobol"', "hint: languages: type"],
] as const;

test.each(typos)("%j is an error of usage with a suggestion", async (args, message, suggestion) => {
  const failed = await runCli(args);
  expect(failed.exitCode).toBe(2);
  expect(failed.stderr).toContain(`nffi: ${message}`);
  expect(failed.stderr).toContain(suggestion);
  expect(failed.stdout).toBe("");
});

test("a clone that is not compiled says how to compile it", async () => {
  const clone = temporaryFolder();
  for (const file of ["bin", "package.json", "tsconfig.json"])
    cpSync(join(repository, file), join(clone, file), { recursive: true });
  const failed = await runProgram(process.execPath, [join(clone, "bin/nffi.mjs"), "list"]);
  expect(failed.exitCode).toBe(10);
  expect(failed.stderr).toMatch(/^nffi: this clone is not compiled: .*dist\/cli\.js/);
  expect(failed.stderr).toContain(
    `hint: run \`cd ${clone} && npm ci --ignore-scripts && npm run build\` first\n`,
  );
  expect(failed.stderr.split("\n")).toHaveLength(3);
});

test("hints name a command that works for the way nffi was called", async () => {
  const cwd = temporaryFolder();
  const own = join(repository, "bin/nffi.mjs");
  const env = { NFFI_PREFIX: undefined, XDG_STATE_HOME: cwd };
  const PATH = process.env.PATH ?? "";
  const bin = join(cwd, "bin");
  mkdirSync(bin);
  symlinkSync(own, join(bin, "nffi"));
  const hintOf = async (path: string) =>
    /hint: run `(.*) build` or `\1 attach` first/.exec(
      (await runCli(["info"], { cwd, env: { ...env, PATH: path } })).stderr,
    )?.[1];
  expect(await hintOf(PATH)).toBe(`node ${own}`);
  expect(await hintOf(`${bin}:${PATH}`)).toBe("nffi");
  // what npx and `npm run` add is not in the shell of the user
  const local = join(cwd, "node_modules/.bin");
  mkdirSync(local, { recursive: true });
  symlinkSync(own, join(local, "nffi"));
  expect(await hintOf(`${local}:${PATH}`)).toBe(`node ${own}`);
});

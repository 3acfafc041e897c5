// package-lock.json works on every machine: `npm ci` refuses a lock file that leaves out optional
// packages of other platforms (npm forgets them where its registry does not offer them), and a lock
// file that names a registry's host works only where that host can be reached. All packages have a
// checksum, and none runs a script during the installation.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/cli.js";

interface LockedPackage {
  readonly version: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const lock = JSON.parse(readFileSync(join(repository, "package-lock.json"), "utf8"));
const manifest = JSON.parse(readFileSync(join(repository, "package.json"), "utf8"));
const packages: Record<string, LockedPackage> = lock.packages;

test("holds every optional package that it names", () => {
  const named = Object.values(packages).flatMap((one) =>
    Object.keys(one.optionalDependencies ?? {}),
  );
  expect(named.filter((name) => !packages[`node_modules/${name}`])).toEqual([]);
});

test("names no registry's host", () => {
  const resolved = Object.entries(packages).filter(([, { resolved }]) => resolved !== undefined);
  expect(resolved).toEqual([]);
});

const locked = Object.entries(packages).filter(([path]) => path !== "");

test("has the hash of every package", () => {
  const unhashed = locked.filter(([, { integrity }]) => !/^sha512-/.test(integrity ?? ""));
  expect(unhashed.map(([path]) => path)).toEqual([]);
});

test("only tools for development have install scripts, and package.json denies them", () => {
  const scripts = locked.filter(([, { hasInstallScript }]) => hasInstallScript);
  expect(scripts.filter(([, { dev }]) => !dev)).toEqual([]);
  const names = scripts.map(([path]) => path.replace(/^.*node_modules\//, ""));
  const denied = Object.entries(manifest.allowScripts).filter(([, allowed]) => allowed === false);
  expect(names).toEqual(denied.map(([name]) => name));
});

test("package.json names the exact versions that it has", () => {
  const dependencies: [string, string][] = Object.entries(manifest.dependencies);
  expect(dependencies.length).toBeGreaterThan(5);
  for (const [name, version] of dependencies) {
    expect([name, version]).toEqual([name, packages[`node_modules/${name}`]?.version]);
  }
});

test("a new TypeScript project gets the versions that it was tested with", () => {
  const template = readFileSync(join(repository, "templates/typescript/package.json"), "utf8");
  const { dependencies, devDependencies: named } = JSON.parse(template) as Record<
    "dependencies" | "devDependencies",
    Record<string, string>
  >;
  const { "@nffi/runtime": runtime } = dependencies;
  expect(runtime).toMatch(/^file:/);
  const tested = Object.keys(named).map((name) => [
    name,
    packages[`node_modules/${name}`]?.version,
  ]);
  expect(named).toEqual(Object.fromEntries(tested));
});

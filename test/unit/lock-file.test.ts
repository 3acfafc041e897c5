// package-lock.json works on every machine: `npm ci` refuses a lock file that leaves out optional
// packages of other platforms (npm forgets them where its registry does not offer them), and a
// lock file that names a registry's host works only where that host can be reached.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../support/cli.js";

interface LockedPackage {
  readonly resolved?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const lock = JSON.parse(readFileSync(join(repository, "package-lock.json"), "utf8"));
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

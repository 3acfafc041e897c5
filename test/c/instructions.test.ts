// A budget of instructions for a call. Instructions, unlike times, are the same on a busy machine,
// so that a regression of a few percent is seen. Compilers differ: each version has its own budget.
//
// NFFI_UPDATE_BUDGETS=1 writes the measured numbers into instructions/budgets.json.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Counted, countsOfObject } from "../support/callgrind.js";
import { repository } from "../support/cli.js";

const CASES = [
  { name: "64 B, one after another", together: 1, size: 64 },
  { name: "64 B, 16 at once", together: 16, size: 64 },
  { name: "64 B, 64 at once", together: 64, size: 64 },
  { name: "16 KB, 64 at once", together: 64, size: 16384 },
];
const CALLS = 512;
/** How much more than its budget a call may take. */
const TOLERANCE = 1.03;

const cSource = join(repository, "c-src");
const budgetFile = join(repository, "test/c/instructions/budgets.json");
const budgets: Record<string, Record<string, Counted>> = JSON.parse(
  readFileSync(budgetFile, "utf8"),
);
const compiler = `gcc ${versionOf("gcc", "-dumpfullversion")}, ${process.arch}`;
const isMeasurable = spawnSync("valgrind", ["--version"]).status === 0;
const isUpdate = process.env.NFFI_UPDATE_BUDGETS === "1";
const budget = isUpdate ? {} : budgets[compiler];

function versionOf(program: string, option: string): string {
  return spawnSync(program, [option], { encoding: "utf8" }).stdout?.trim() ?? "unknown";
}

describe.skipIf(!isMeasurable || budget === undefined)(`a call, compiled by ${compiler}`, () => {
  let folder = "";

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "nffi-instructions-"));
    const library = ["shared", "runtime", "host"].flatMap((room) =>
      readdirSync(join(cSource, "lib", room))
        .filter((name) => name.endsWith(".c"))
        .map((name) => join(cSource, "lib", room, name)),
    );
    const includes = ["include", "lib"].map((name) => `-I${join(cSource, name)}`);
    const source = join(repository, "test/c/instructions/calls.c");
    const flags = ["-O2", "-g", "-std=gnu11", "-pthread", ...includes];
    execFileSync("gcc", [...flags, "-o", join(folder, "calls"), source, ...library]);
  }, 120_000);

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
    if (!isUpdate) return;
    const all = { ...budgets, [compiler]: budget };
    writeFileSync(budgetFile, `${JSON.stringify(all, null, 2)}\n`);
  });

  function counts(calls: number, together: number, size: number): Counted {
    const profile = join(folder, "profile");
    const args = ["-q", "--tool=callgrind", `--callgrind-out-file=${profile}`];
    const program = [join(folder, "calls"), calls, together, size].map(String);
    execFileSync("valgrind", [...args, ...program], { stdio: "ignore" });
    return countsOfObject(readFileSync(profile, "utf8"), "/calls");
  }

  test.each(CASES)(
    "$name: takes no more instructions than its budget",
    ({ name, together, size }) => {
      // the difference leaves out what happens once
      const [few, many] = [counts(CALLS, together, size), counts(2 * CALLS, together, size)];
      const each = {
        instructions: (many.instructions - few.instructions) / CALLS,
        outside: (many.outside - few.outside) / CALLS,
      };
      if (isUpdate && budget) budget[name] = each;
      const allowed = budget?.[name];
      expect(each.instructions).toBeGreaterThan(100);
      expect(each.instructions).toBeLessThanOrEqual((allowed?.instructions ?? 0) * TOLERANCE);
      expect(each.outside).toBeLessThanOrEqual((allowed?.outside ?? 0) * TOLERANCE);
    },
    60_000,
  );
});

test("every compiler that has a budget has one for each case", () => {
  expect(Object.keys(budgets).length).toBeGreaterThan(0);
  for (const cases of Object.values(budgets)) {
    expect(Object.keys(cases).sort()).toEqual(CASES.map(({ name }) => name).sort());
  }
});

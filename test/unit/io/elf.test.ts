// The values read from an ELF file match the flags of the compiler.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { PROTECTIONS, protectionsOf, versionsNeeded } from "../../../src/io/elf.js";
import { temporaryFolder } from "../../support/temporary.js";

const SOURCE = `#include <string.h>
int main(int argc, char **argv) { char text[8]; strcpy(text, argv[argc - 1]); return text[0]; }
`;

function compiled(...flags: string[]): string {
  const folder = temporaryFolder();
  const [source, program] = [join(folder, "program.c"), join(folder, "program")];
  writeFileSync(source, SOURCE);
  execFileSync("cc", ["-w", source, "-o", program, ...flags]);
  return program;
}

const hardened = [
  ...["-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong", "-fPIE"],
  ...["-pie", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"],
];

test("a hardened program has every protection", async () => {
  expect(await protectionsOf(compiled(...hardened))).toEqual(PROTECTIONS);
});

test.each([
  ["pie", ["-fno-pie", "-no-pie"]],
  ["relro", ["-Wl,-z,norelro"]],
  ["bind-now", ["-Wl,-z,lazy"]],
  ["noexecstack", ["-Wl,-z,execstack"]],
  ["stack-protector", ["-fno-stack-protector"]],
  ["fortify", ["-U_FORTIFY_SOURCE"]],
])("only %s is missing where only it is turned off", async (protection, flags) => {
  const found = await protectionsOf(compiled(...hardened, ...flags));
  expect(found).toEqual(PROTECTIONS.filter((one) => one !== protection));
});

test("files that no one runs have none to read", async () => {
  const folder = temporaryFolder();
  const [text, short] = [join(folder, "text"), join(folder, "short")];
  writeFileSync(text, "#!/bin/sh\n".repeat(20));
  writeFileSync(short, readFileSync(compiled(...hardened)).subarray(0, 64));
  expect(await protectionsOf(compiled("-c"))).toBeUndefined();
  expect(await protectionsOf(text)).toBeUndefined();
  expect(await protectionsOf(short)).toBeUndefined();
});

test("the versions that it needs are those that readelf prints", async () => {
  const program = compiled(...hardened);
  const printed = execFileSync("readelf", ["--version-info", program], { encoding: "utf8" });
  const names = [...printed.matchAll(/Name: (GLIBC_[\w.]+)/g)].map(([, name]) => name);
  expect(names.length).toBeGreaterThan(1);
  expect(await versionsNeeded(program)).toEqual([...new Set(names)].sort());
});

// Checks each prebuilt file before it is released: it must be for its processor and for old C
// libraries, hardened, and without a path of the machine that built it.
import { readFileSync } from "node:fs";
import { protectionsOf, versionsNeeded } from "../../dist/io/elf.js";
import { ARCHITECTURES, GLIBC } from "./files.mjs";

/** Each is in every file; fortify only where a function that it checks is called. */
const PROTECTIONS = ["pie", "relro", "bind-now", "noexecstack", "stack-protector"];

/** Returns what is wrong with a file, in words that follow its path. `paths` must not be in it. */
export async function faultsOf(file, arch, paths) {
  const content = readFileSync(file);
  const faults = paths
    .filter((path) => content.includes(path))
    .map((path) => `contains the path ${path}`);
  const protections = await protectionsOf(file);
  if (protections === undefined) return faults;
  const { machine } = ARCHITECTURES[arch];
  if (content.readUInt16LE(18) !== machine) faults.push(`is not for ${arch}`);
  const missing = PROTECTIONS.filter((one) => !protections.includes(one));
  if (missing.length > 0) faults.push(`has no ${missing.join(", no ")}`);
  const tooNew = (await versionsNeeded(file)).filter(isTooNew);
  if (tooNew.length > 0) faults.push(`needs ${tooNew.join(", ")}, newer than glibc ${GLIBC}`);
  return faults;
}

function isTooNew(version) {
  const [, major, minor] = /^GLIBC_(\d+)\.(\d+)/.exec(version) ?? [];
  const [wantedMajor, wantedMinor] = GLIBC.split(".").map(Number);
  return (
    Number(major) > wantedMajor || (Number(major) === wantedMajor && Number(minor) > wantedMinor)
  );
}

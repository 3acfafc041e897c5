/**
 * Flags that make faults in the C code of a product harder to exploit, as in Debian's own packages.
 * They come before the user's flags, so that the user's win. The debug and sanitizer flavours have
 * none: they are for finding faults.
 */
import { join } from "node:path";
import type { Environment } from "../host/environment.js";
import { type Protection, protectionsOf } from "../io/elf.js";
import { flavorOf } from "./flavors.js";
import type { BuildRequest } from "./request.js";

export interface Hardening {
  readonly cFlags: readonly string[];
  /** For LuaJIT, whose Makefile turns these off behind the flags of its caller. */
  readonly luajitCFlags: readonly string[];
  readonly ldFlags: readonly string[];
}

const NONE: Hardening = { cFlags: [], luajitCFlags: [], ldFlags: [] };

/** Control-flow protection, by the name that Node has for the processor. */
const CONTROL_FLOW: Readonly<Record<string, string>> = {
  x64: "-fcf-protection",
  arm64: "-mbranch-protection=standard",
};

export function hardeningOf(
  request: Pick<BuildRequest, "flavor">,
  env: Environment,
  arch: string,
): Hardening {
  if (!flavorOf(request.flavor).isHardened) return NONE;
  // a macro must not be defined twice, so the user's own level replaces ours
  const isOwnLevel = /_FORTIFY_SOURCE/.test(env.CFLAGS ?? "");
  const fortify = isOwnLevel ? [] : ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"];
  const controlFlow = CONTROL_FLOW[arch];
  return {
    cFlags: [
      ...["-fstack-protector-strong", "-fstack-clash-protection", ...fortify],
      ...["-Wformat", "-Werror=format-security"],
      ...(controlFlow ? [controlFlow] : []),
    ],
    luajitCFlags: ["-fstack-protector-strong", ...fortify],
    ldFlags: ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"],
  };
}

/** The protections of each linked ELF file, by path below the prefix. */
export type HardeningRecord = Readonly<Record<string, readonly Protection[]>>;

export async function hardeningOfFiles(
  root: string,
  files: Readonly<Record<string, string>>,
): Promise<HardeningRecord> {
  const record: Record<string, readonly Protection[]> = {};
  for (const path of Object.keys(files).sort()) {
    const protections = await protectionsOf(join(root, path));
    if (protections) record[path] = protections;
  }
  return record;
}

const BY_LINKER: readonly Protection[] = ["pie", "relro", "bind-now", "noexecstack"];

/** "PATH: no relro" for each file that the linker left unprotected. */
export function weaknessesOf(record: HardeningRecord): string[] {
  return Object.entries(record).flatMap(([path, protections]) => {
    const lacks = BY_LINKER.filter((one) => !protections.includes(one));
    return lacks.length > 0 ? [`${path}: no ${lacks.join(", no ")}`] : [];
  });
}

/**
 * Reads from an ELF file (64 bits, little-endian) which protections it was compiled with, and which
 * versions of other libraries' symbols it needs.
 */
import { type ElfFile, withElfFile } from "./elf-file.js";

export type Protection =
  | "pie"
  | "relro"
  | "bind-now"
  | "noexecstack"
  | "stack-protector"
  | "fortify";

/** The first four are the linker's; a file whose code needs no check lacks the other two. */
export const PROTECTIONS: readonly Protection[] = [
  ...["pie", "relro", "bind-now", "noexecstack", "stack-protector", "fortify"],
] as Protection[];

const TYPE_DYN = 3;
const PT_GNU_STACK = 0x6474e551;
const PT_GNU_RELRO = 0x6474e552;
const EXECUTABLE = 1;
const DT_BIND_NOW = 24n;
const DT_FLAGS = 30n;
const DF_BIND_NOW = 8n;
const DT_FLAGS_1 = 0x6ffffffbn;
const DF_1_NOW = 1n;

/**
 * undefined for a file that is no linked ELF file (objects and archives are none). "pie" is said of
 * every file that can be loaded anywhere, shared libraries included.
 */
export async function protectionsOf(path: string): Promise<Protection[] | undefined> {
  return withElfFile(path, async (elf) => {
    const { header, programHeaders } = elf;
    const symbols = (await elf.dynamicSymbols()).filter(({ isDefined }) => !isDefined);
    const found: Record<Protection, boolean> = {
      pie: header.readUInt16LE(16) === TYPE_DYN,
      relro: programHeaders.some((entry) => entry.readUInt32LE(0) === PT_GNU_RELRO),
      "bind-now": await bindsNow(elf),
      noexecstack: hasPlainStack(programHeaders),
      "stack-protector": symbols.some(({ name }) => name === "__stack_chk_fail"),
      fortify: symbols.some(({ name }) => /^__\w+_chk$/.test(name)),
    };
    return PROTECTIONS.filter((protection) => found[protection]);
  });
}

/**
 * The versions of its imported symbols ("GLIBC_2.27"), sorted; undefined as for `protectionsOf`.
 */
export function versionsNeeded(path: string): Promise<string[] | undefined> {
  return withElfFile(path, async (elf) => [...new Set(await elf.importedVersions())].sort());
}

async function bindsNow(elf: ElfFile): Promise<boolean> {
  return (await elf.dynamic()).some(({ tag, value }) => {
    if (tag === DT_BIND_NOW) return true;
    if (tag === DT_FLAGS) return (value & DF_BIND_NOW) !== 0n;
    return tag === DT_FLAGS_1 && (value & DF_1_NOW) !== 0n;
  });
}

/** Without the header the kernel makes the stack executable. */
function hasPlainStack(programHeaders: readonly Buffer[]): boolean {
  const stack = programHeaders.find((entry) => entry.readUInt32LE(0) === PT_GNU_STACK);
  return stack !== undefined && (stack.readUInt32LE(4) & EXECUTABLE) === 0;
}

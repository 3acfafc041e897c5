/** Reads from an ELF file (64 bits, little-endian) which protections it was compiled with. */
import { open } from "node:fs/promises";

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
const PT_DYNAMIC = 2;
const PT_GNU_STACK = 0x6474e551;
const PT_GNU_RELRO = 0x6474e552;
const EXECUTABLE = 1;
const SHT_DYNSYM = 11;
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
  const file = await open(path, "r");
  try {
    const read = async (offset: number, length: number): Promise<Buffer> => {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    };
    const header = await read(0, 64);
    const isElf = header.length === 64 && header.readUInt32BE(0) === 0x7f454c46;
    if (!isElf || header[4] !== 2 || header[5] !== 1) return undefined;
    const programHeaders = await tableOf(header, read, { at: 32, sizes: 54 });
    if (programHeaders.length === 0) return undefined;
    const symbols = await importedNames(header, read);
    const found: Record<Protection, boolean> = {
      pie: header.readUInt16LE(16) === TYPE_DYN,
      relro: programHeaders.some((entry) => entry.readUInt32LE(0) === PT_GNU_RELRO),
      "bind-now": await bindsNow(programHeaders, read),
      noexecstack: hasPlainStack(programHeaders),
      "stack-protector": symbols.some((name) => name === "__stack_chk_fail"),
      fortify: symbols.some((name) => /^__\w+_chk$/.test(name)),
    };
    return PROTECTIONS.filter((protection) => found[protection]);
  } finally {
    await file.close();
  }
}

type Read = (offset: number, length: number) => Promise<Buffer>;

/** The entries of the program or section headers: `at` has their offset, `sizes` size and count. */
async function tableOf(
  header: Buffer,
  read: Read,
  { at, sizes }: { readonly at: number; readonly sizes: number },
): Promise<Buffer[]> {
  const size = header.readUInt16LE(sizes);
  const count = header.readUInt16LE(sizes + 2);
  return entriesOf(await read(Number(header.readBigUInt64LE(at)), size * count), size);
}

function entriesOf(table: Buffer, size: number): Buffer[] {
  const count = size > 0 ? Math.floor(table.length / size) : 0;
  return Array.from({ length: count }, (_, index) =>
    table.subarray(index * size, (index + 1) * size),
  );
}

async function bindsNow(programHeaders: readonly Buffer[], read: Read): Promise<boolean> {
  const dynamic = programHeaders.find((entry) => entry.readUInt32LE(0) === PT_DYNAMIC);
  if (!dynamic) return false;
  const [offset, length] = [dynamic.readBigUInt64LE(8), dynamic.readBigUInt64LE(32)];
  return entriesOf(await read(Number(offset), Number(length)), 16).some((entry) => {
    const [tag, value] = [entry.readBigInt64LE(0), entry.readBigUInt64LE(8)];
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

/** The names of the dynamic symbols that other libraries must have. */
async function importedNames(header: Buffer, read: Read): Promise<string[]> {
  const sections = await tableOf(header, read, { at: 40, sizes: 58 });
  const dynsym = sections.find((entry) => entry.readUInt32LE(4) === SHT_DYNSYM);
  const strings = dynsym && sections[dynsym.readUInt32LE(40)];
  if (!dynsym || !strings) return [];
  const contentOf = (section: Buffer) =>
    read(Number(section.readBigUInt64LE(24)), Number(section.readBigUInt64LE(32)));
  const names = await contentOf(strings);
  return entriesOf(await contentOf(dynsym), 24)
    .filter((symbol) => symbol.readUInt16LE(6) === 0)
    .map((symbol) => {
      const start = symbol.readUInt32LE(0);
      return names.toString("latin1", start, names.indexOf(0, start));
    });
}

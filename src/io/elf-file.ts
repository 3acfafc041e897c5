/** Reads the tables of a 64-bit little-endian ELF file; elf.ts and elf-object.ts interpret them. */
import { open } from "node:fs/promises";

export interface ElfFile {
  readonly header: Buffer;
  readonly programHeaders: readonly Buffer[];
  /** The bytes at an offset of the file. */
  read(offset: number, length: number): Promise<Buffer>;
  /** The entries of the dynamic section: tag and value. */
  dynamic(): Promise<readonly DynamicEntry[]>;
  dynamicSymbols(): Promise<DynamicSymbol[]>;
  /** The versions of symbols that other objects have to export, such as GLIBC_2.27. */
  importedVersions(): Promise<string[]>;
}

export interface DynamicEntry {
  readonly tag: bigint;
  readonly value: bigint;
}

export interface DynamicSymbol {
  readonly name: string;
  /** False for a symbol that another object has to export. */
  readonly isDefined: boolean;
  /** It may stay undefined. */
  readonly isWeak: boolean;
}

export const PT_DYNAMIC = 2;
const SHT_DYNSYM = 11;
const SHT_GNU_VERNEED = 0x6ffffffe;
const STB_WEAK = 2;

/**
 * Calls `use` with the file; returns undefined without a call if it is no linked ELF file of 64
 * bits (objects and archives are none). The caller must not keep the file.
 */
export async function withElfFile<T>(
  path: string,
  use: (elf: ElfFile) => Promise<T>,
): Promise<T | undefined> {
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
    return await use({
      header,
      programHeaders,
      read,
      dynamic: () => dynamicOf(programHeaders, read),
      dynamicSymbols: () => symbolsOf(header, read),
      importedVersions: () => versionsOf(header, read),
    });
  } finally {
    await file.close();
  }
}

type Read = ElfFile["read"];

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

async function dynamicOf(programHeaders: readonly Buffer[], read: Read): Promise<DynamicEntry[]> {
  const dynamic = programHeaders.find((entry) => entry.readUInt32LE(0) === PT_DYNAMIC);
  if (!dynamic) return [];
  const [offset, length] = [dynamic.readBigUInt64LE(8), dynamic.readBigUInt64LE(32)];
  return entriesOf(await read(Number(offset), Number(length)), 16).map((entry) => ({
    tag: entry.readBigInt64LE(0),
    value: entry.readBigUInt64LE(8),
  }));
}

async function symbolsOf(header: Buffer, read: Read): Promise<DynamicSymbol[]> {
  const { table, nameAt } = await sectionOf(SHT_DYNSYM, header, read);
  return entriesOf(table, 24).map((symbol) => ({
    name: nameAt(symbol.readUInt32LE(0)),
    isDefined: symbol.readUInt16LE(6) !== 0,
    isWeak: symbol.readUInt8(4) >> 4 === STB_WEAK,
  }));
}

/** The section is a list of libraries, each with a list of versions. */
async function versionsOf(header: Buffer, read: Read): Promise<string[]> {
  const { table, nameAt } = await sectionOf(SHT_GNU_VERNEED, header, read);
  if (table.length === 0) return [];
  const libraries = offsetsOf(table, { first: 0, next: 12 });
  return libraries.flatMap((library) => {
    const versions = { first: library + table.readUInt32LE(library + 8), next: 12 };
    return offsetsOf(table, versions).map((version) => nameAt(table.readUInt32LE(version + 8)));
  });
}

/** Of a list whose entries have, at `next`, the distance to the next one, 0 in the last. */
function offsetsOf(table: Buffer, { first, next }: { first: number; next: number }): number[] {
  const offsets: number[] = [];
  for (let at = first, distance = 1; distance > 0; at += distance) {
    offsets.push(at);
    distance = table.readUInt32LE(at + next);
  }
  return offsets;
}

/**
 * The content of the first section of a type, empty if there is none, and the names it refers to.
 */
async function sectionOf(
  type: number,
  header: Buffer,
  read: Read,
): Promise<{ table: Buffer; nameAt: (start: number) => string }> {
  const sections = await tableOf(header, read, { at: 40, sizes: 58 });
  const section = sections.find((entry) => entry.readUInt32LE(4) === type);
  const strings = section && sections[section.readUInt32LE(40)];
  if (!section || !strings) return { table: Buffer.alloc(0), nameAt: () => "" };
  const contentOf = (one: Buffer) =>
    read(Number(one.readBigUInt64LE(24)), Number(one.readBigUInt64LE(32)));
  const names = await contentOf(strings);
  return {
    table: await contentOf(section),
    nameAt: (start) => names.toString("latin1", start, names.indexOf(0, start)),
  };
}

/** Reads from an ELF file what it is for: the processor, the loader, its symbols, its build id. */
import { type ElfFile, PT_DYNAMIC, withElfFile } from "./elf-file.js";

export interface ElfObject {
  /** As Node names the processor ("x64", "arm64"), else the number of the ELF header. */
  readonly arch: string;
  /** It has no dynamic section: nothing can be loaded into it. */
  readonly isStatic: boolean;
  /** The program that loads an executable, such as /lib64/ld-linux-x86-64.so.2. */
  readonly loader: string | undefined;
  /** In hexadecimal digits; undefined if the linker wrote none. */
  readonly buildId: string | undefined;
  /** The dynamic symbols that it defines. */
  readonly exports: ReadonlySet<string>;
  /** The dynamic symbols that another object has to export. */
  readonly imports: readonly string[];
}

const ARCHITECTURES: Readonly<Record<number, string>> = { 62: "x64", 183: "arm64" };
const PT_INTERP = 3;
const PT_NOTE = 4;
const NT_GNU_BUILD_ID = 3;

/** undefined for a file that is no linked ELF file of 64 bits, such as a script. */
export async function elfObjectOf(path: string): Promise<ElfObject | undefined> {
  return withElfFile(path, async (elf) => {
    const symbols = await elf.dynamicSymbols();
    const machine = elf.header.readUInt16LE(18);
    return {
      arch: ARCHITECTURES[machine] ?? String(machine),
      isStatic: headersOf(elf, PT_DYNAMIC).length === 0,
      loader: await loaderOf(elf),
      buildId: await buildIdOf(elf),
      exports: new Set(symbols.filter(({ isDefined }) => isDefined).map(({ name }) => name)),
      imports: symbols
        .filter(({ isDefined, isWeak, name }) => !isDefined && !isWeak && name !== "")
        .map(({ name }) => name),
    };
  });
}

function headersOf(elf: ElfFile, type: number): Buffer[] {
  return elf.programHeaders.filter((entry) => entry.readUInt32LE(0) === type);
}

function contentOf(elf: ElfFile, entry: Buffer): Promise<Buffer> {
  return elf.read(Number(entry.readBigUInt64LE(8)), Number(entry.readBigUInt64LE(32)));
}

async function loaderOf(elf: ElfFile): Promise<string | undefined> {
  const [interp] = headersOf(elf, PT_INTERP);
  if (!interp) return undefined;
  return (await contentOf(elf, interp)).toString("latin1").replace(/\0.*$/s, "");
}

async function buildIdOf(elf: ElfFile): Promise<string | undefined> {
  for (const header of headersOf(elf, PT_NOTE)) {
    const notes = await contentOf(elf, header);
    for (let at = 0; at + 12 <= notes.length; ) {
      const nameSize = notes.readUInt32LE(at);
      const size = notes.readUInt32LE(at + 4);
      const name = notes.toString("latin1", at + 12, at + 12 + nameSize);
      const content = at + 12 + padded(nameSize);
      if (notes.readUInt32LE(at + 8) === NT_GNU_BUILD_ID && name === "GNU\0") {
        return notes.toString("hex", content, content + size);
      }
      at = content + padded(size);
    }
  }
  return undefined;
}

/** Notes are aligned to four bytes. */
function padded(size: number): number {
  return (size + 3) & ~3;
}

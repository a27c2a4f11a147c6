/** The dynamic symbols of an ELF file in memory (elf(5)), enough for a vDSO. */

export interface DynamicSymbol {
  readonly name: string;
  /** Offset from the start of the object, which is linked at 0. */
  readonly value: number;
  readonly size: number;
  readonly isFunction: boolean;
}

const SHT_DYNSYM = 11;
const SYMBOL_SIZE = 24;
const STT_FUNC = 2;

export function readDynamicSymbols(elf: Buffer): DynamicSymbol[] {
  const sections = Number(elf.readBigUInt64LE(40));
  const sectionSize = elf.readUInt16LE(58);
  const count = elf.readUInt16LE(60);
  const section = (index: number): { type: number; offset: number; size: number; link: number } => {
    const at = sections + index * sectionSize;
    return {
      type: elf.readUInt32LE(at + 4),
      offset: Number(elf.readBigUInt64LE(at + 24)),
      size: Number(elf.readBigUInt64LE(at + 32)),
      link: elf.readUInt32LE(at + 40),
    };
  };
  const symbols: DynamicSymbol[] = [];
  for (let index = 0; index < count; index += 1) {
    const table = section(index);
    if (table.type !== SHT_DYNSYM) continue;
    const strings = section(table.link);
    for (let at = table.offset; at < table.offset + table.size; at += SYMBOL_SIZE) {
      const nameAt = strings.offset + elf.readUInt32LE(at);
      const name = elf.toString("latin1", nameAt, elf.indexOf(0, nameAt));
      const isFunction = ((elf[at + 4] ?? 0) & 0xf) === STT_FUNC;
      const value = Number(elf.readBigUInt64LE(at + 8));
      if (name !== "" && value !== 0)
        symbols.push({ name, value, size: Number(elf.readBigUInt64LE(at + 16)), isFunction });
    }
  }
  return symbols;
}

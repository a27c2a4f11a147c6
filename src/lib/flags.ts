/** Bit masks in words, as the frozen form writes them: `"O_RDWR|O_APPEND"`. */
import { InconsistentImage } from "../errors/wrong-input.ts";

export type FlagTable = Readonly<Record<string, number>>;

/** Names the bits of `value`; what has no name stays as a hexadecimal number. Zero is `"0"`. */
export function formatFlags(table: FlagTable, value: number): string {
  const words: string[] = [];
  let rest = value >>> 0;
  for (const [name, bit] of Object.entries(table)) {
    if (bit !== 0 && (rest & bit) >>> 0 === bit) {
      words.push(name);
      rest = (rest & ~bit) >>> 0;
    }
  }
  if (rest !== 0) words.push(`0x${rest.toString(16)}`);
  return words.length > 0 ? words.join("|") : "0";
}

/** The number that {@link formatFlags} wrote; throws an {@link InconsistentImage} at a word that the table does not know. */
export function parseFlags(table: FlagTable, text: string): number {
  let value = 0;
  for (const word of text.split("|")) {
    const bit = table[word] ?? (/^(0x[0-9a-f]+|0)$/.test(word) ? Number(word) : undefined);
    if (bit === undefined) throw new InconsistentImage(`unknown flag ${word}`);
    value = (value | bit) >>> 0;
  }
  return value;
}

/** The one name that stands for `value` in an enumeration, or undefined. */
export function nameOf(table: FlagTable, value: number): string | undefined {
  return Object.keys(table).find((name) => table[name] === value);
}

/** 64-bit values as the frozen form writes them: `"0x7ffd…"`, because JSON numbers end at 53 bits. */
import * as v from "valibot";

export const hexSchema = v.pipe(v.string(), v.regex(/^0x[0-9a-f]{1,16}$/));

export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

export function unhex(text: string): number {
  return Number(text);
}

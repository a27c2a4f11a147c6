/** Putting machine code together: position-independent, with jumps to places by name, and data that follows it. */
import { Defect } from "../errors/wrong-input.ts";

/** A 32-bit number as an instruction has it. */
export const int32 = (value: number): number[] => [
  value & 0xff,
  (value >> 8) & 0xff,
  (value >> 16) & 0xff,
  value >>> 24,
];

/** `lea REGISTER, [rip + displacement]` without the displacement. */
export const LEA = { RDI: [0x48, 0x8d, 0x3d], RSI: [0x48, 0x8d, 0x35], RBX: [0x48, 0x8d, 0x1d] } as const;

/** Jumps with a 32-bit displacement, without it. */
export const JUMP = {
  ALWAYS: [0xe9],
  IF_NEGATIVE: [0x0f, 0x88],
  IF_EQUAL: [0x0f, 0x84],
  UNLESS_EQUAL: [0x0f, 0x85],
} as const;

/** A path or name as system calls take it. */
export const cString = (text: string): Buffer => Buffer.from(`${text}\0`);

export class MachineCode {
  readonly #bytes: number[] = [];
  readonly #wanted: { at: number; offset: number }[] = [];
  readonly #places = new Map<string, number>();
  readonly #jumps: { at: number; to: string }[] = [];
  #data = Buffer.alloc(0);

  emit(...bytes: number[]): this {
    this.#bytes.push(...bytes);
    return this;
  }

  /** Lets a register point at `data`; `opcode` is one of {@link LEA}. */
  lea(opcode: readonly number[], data: Buffer): this {
    this.emit(...opcode);
    this.#wanted.push({ at: this.#bytes.length, offset: this.#data.length });
    this.#data = Buffer.concat([this.#data, data]);
    return this.emit(0, 0, 0, 0);
  }

  /** `mov eax, number; syscall`. */
  call(number: number): this {
    return this.emit(0xb8, ...int32(number), 0x0f, 0x05);
  }

  /** Gives this place a name. */
  place(name: string): this {
    this.#places.set(name, this.#bytes.length);
    return this;
  }

  /** Jumps to a named place; `opcode` is one of {@link JUMP}. */
  jump(opcode: readonly number[], to: string): this {
    this.emit(...opcode);
    this.#jumps.push({ at: this.#bytes.length, to });
    return this.emit(0, 0, 0, 0);
  }

  build(): Buffer {
    const code = Buffer.from(this.#bytes);
    for (const { at, to } of this.#jumps) {
      const place = this.#places.get(to);
      if (place === undefined) throw new Defect(`no place is called ${to}`);
      code.writeInt32LE(place - (at + 4), at);
    }
    for (const { at, offset } of this.#wanted) code.writeInt32LE(code.length + offset - (at + 4), at);
    return Buffer.concat([code, this.#data]);
  }
}

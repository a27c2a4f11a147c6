/** struct user_regs_struct of x86-64 (arch/x86/include/asm/user_64.h): 27 words of 8 bytes, in this order. */

export const REGISTER_NAMES = [
  "r15",
  "r14",
  "r13",
  "r12",
  "rbp",
  "rbx",
  "r11",
  "r10",
  "r9",
  "r8",
  "rax",
  "rcx",
  "rdx",
  "rsi",
  "rdi",
  "orig_rax",
  "rip",
  "cs",
  "eflags",
  "rsp",
  "ss",
  "fs_base",
  "gs_base",
  "ds",
  "es",
  "fs",
  "gs",
] as const;

export type RegisterName = (typeof REGISTER_NAMES)[number];

export const USER_REGS_SIZE = REGISTER_NAMES.length * 8;

const OFFSETS = Object.fromEntries(REGISTER_NAMES.map((name, index) => [name, index * 8])) as Record<
  RegisterName,
  number
>;

/** Code segment selector of 64-bit user code; anything else is a 32-bit program (__USER_CS, segment.h). */
export const USER_CS_64 = 0x33;

/** The general registers of a thread, kept as the kernel's bytes; values are unsigned 64-bit. */
export class Registers {
  readonly bytes: Buffer;

  constructor(bytes: Buffer = Buffer.alloc(USER_REGS_SIZE)) {
    this.bytes = bytes;
  }

  get(name: RegisterName): bigint {
    return this.bytes.readBigUInt64LE(OFFSETS[name]);
  }

  /** As a signed number, for results and system call numbers. */
  getInt(name: RegisterName): number {
    return Number(this.bytes.readBigInt64LE(OFFSETS[name]));
  }

  set(name: RegisterName, value: bigint | number): this {
    this.bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), OFFSETS[name]);
    return this;
  }

  clone(): Registers {
    return new Registers(Buffer.from(this.bytes));
  }

  equals(other: Registers): boolean {
    return this.bytes.equals(other.bytes);
  }

  toJSON(): Record<RegisterName, string> {
    return Object.fromEntries(REGISTER_NAMES.map((name) => [name, `0x${this.get(name).toString(16)}`])) as Record<
      RegisterName,
      string
    >;
  }

  static fromJSON(values: Readonly<Record<RegisterName, string>>): Registers {
    const registers = new Registers();
    for (const name of REGISTER_NAMES) registers.set(name, BigInt(values[name]));
    return registers;
  }
}

/** Many system calls from one table: a loop of machine code, and the table's rows of eight 64-bit words. */
import { SYS } from "../abi/syscalls.x86_64.ts";
import type { Row } from "./scope.ts";

/** Number, six arguments, result. */
export const ROW_SIZE = 64;

/** Runs the table at rbx, of ebp rows, and falls out at its own end. Keeps rsp, r12 to r15. */
export const LOOP_CODE = [
  ...[0x48, 0x8b, 0x03], // mov rax, [rbx]
  ...[0x48, 0x8b, 0x7b, 0x08], // mov rdi, [rbx+8]
  ...[0x48, 0x8b, 0x73, 0x10], // mov rsi, [rbx+16]
  ...[0x48, 0x8b, 0x53, 0x18], // mov rdx, [rbx+24]
  ...[0x4c, 0x8b, 0x53, 0x20], // mov r10, [rbx+32]
  ...[0x4c, 0x8b, 0x43, 0x28], // mov r8, [rbx+40]
  ...[0x4c, 0x8b, 0x4b, 0x30], // mov r9, [rbx+48]
  ...[0x0f, 0x05], // syscall
  ...[0x48, 0x89, 0x43, 0x38], // mov [rbx+56], rax
  ...[0x48, 0x83, 0xc3, 0x40], // add rbx, 64
  ...[0xff, 0xcd], // dec ebp
  ...[0x75, 0xd7], // jnz to the beginning
];

export function encodeTable(rows: readonly Row[]): Buffer {
  const bytes = Buffer.alloc(rows.length * ROW_SIZE);
  rows.forEach(([name, ...args], row) => {
    bytes.writeBigInt64LE(BigInt(SYS[name]), row * ROW_SIZE);
    args.forEach((arg, i) => bytes.writeBigInt64LE(BigInt(arg), row * ROW_SIZE + 8 + i * 8));
  });
  return bytes;
}

/** What the calls answered, in order: results or negated errnos. */
export function decodeTable(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / ROW_SIZE }, (_, row) => Number(bytes.readBigInt64LE(row * ROW_SIZE + 56)));
}

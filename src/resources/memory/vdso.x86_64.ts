/**
 * The vDSO: code that each kernel brings along and that the C library keeps pointers into (vdso(7)).
 *
 * The same bytes on the new kernel: its vDSO is moved to the old place, and nobody can tell. Other bytes: the old pages
 * stay where they were as ordinary memory, and each of their functions becomes a jump to the new one's namesake.
 */
import * as v from "valibot";
import { MAP, MREMAP, PROT } from "../../abi/mman.ts";
import { SYS } from "../../abi/syscalls.x86_64.ts";
import { remoteAddress } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { hex, hexSchema, unhex } from "../../lib/hex.ts";
import type { Mapping } from "../../proc/maps.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import type { ThawProcess } from "../thaw-context.ts";
import { readDynamicSymbols, type DynamicSymbol } from "../../lib/elf-symbols.ts";

export const vdsoSchema = v.strictObject({
  /** [vvar], [vvar_vclock] and [vdso], in the order of their addresses. */
  parts: v.array(v.strictObject({ name: v.string(), start: hexSchema, end: hexSchema })),
  /** The bytes of [vdso], base64. */
  code: v.string(),
});
export type VdsoState = v.InferOutput<typeof vdsoSchema>;

const PARTS = ["[vvar]", "[vvar_vclock]", "[vdso]"];

function partsOf(mappings: readonly Mapping[]): Mapping[] {
  return mappings.filter((mapping) => PARTS.includes(mapping.path));
}

export function freezeVdso(process: FreezeProcess): VdsoState {
  const parts = partsOf(process.mappings);
  const code = parts.find((part) => part.path === "[vdso]");
  return {
    parts: parts.map((part) => ({ name: part.path, start: hex(part.start), end: hex(part.end) })),
    code: code ? process.scope.memory.read(remoteAddress(code.start), code.end - code.start).toString("base64") : "",
  };
}

/** Where the vDSO of a process under construction stands. */
export interface ParkedVdso {
  readonly parts: readonly { readonly name: string; readonly start: number; readonly end: number }[];
}

/** Moves the vDSO's mappings by the same distance, [vvar] first: the code reads its data relative to itself. */
export function moveVdso(scope: ThawProcess["scope"], from: ParkedVdso, firstStart: number): ParkedVdso {
  const distance = firstStart - Math.min(...from.parts.map((part) => part.start));
  if (distance === 0) return from;
  const parts = from.parts.map((part) => {
    const start = part.start + distance;
    const length = part.end - part.start;
    const flags = MREMAP.MREMAP_MAYMOVE | MREMAP.MREMAP_FIXED;
    scope.call("mremap", `Moving ${part.name}`, part.start, length, length, flags, start);
    return { name: part.name, start, end: start + length };
  });
  return { parts };
}

export function vdsoSize(parked: ParkedVdso): number {
  return Math.max(...parked.parts.map((part) => part.end)) - Math.min(...parked.parts.map((part) => part.start));
}

/**
 * Gives a process under construction its vDSO. `freeSpace` finds a place in the finished address space for a new vDSO
 * whose code differs from the old one's.
 */
export function thawVdso(
  process: ThawProcess,
  state: VdsoState,
  parked: ParkedVdso,
  freeSpace: (size: number) => number,
): void {
  const { scope } = process;
  const oldCode = Buffer.from(state.code, "base64");
  const newPart = parked.parts.find((part) => part.name === "[vdso]");
  if (!newPart) {
    throw failures.NO_VDSO.kernel();
  }
  const newCode = scope.memory.read(remoteAddress(newPart.start), newPart.end - newPart.start);
  const oldPart = state.parts.find((part) => part.name === "[vdso]");
  if (!oldPart) {
    keepData(scope, state, parked);
    return;
  }
  const oldStart = unhex(oldPart.start);
  if (newCode.equals(oldCode)) {
    moveVdso(scope, parked, oldStart - (newPart.start - Math.min(...parked.parts.map((part) => part.start))));
    return;
  }
  const placed = moveVdso(scope, parked, freeSpace(vdsoSize(parked)));
  const target = placed.parts.find((part) => part.name === "[vdso]")?.start ?? 0;
  scope.call(
    "mmap",
    "Keeping the old vDSO",
    oldStart,
    oldCode.length,
    PROT.PROT_READ | PROT.PROT_EXEC,
    MAP.MAP_PRIVATE | MAP.MAP_ANONYMOUS | MAP.MAP_FIXED_NOREPLACE,
    -1,
    0,
  );
  scope.memory.write(remoteAddress(oldStart), redirect(oldCode, newCode, target));
}

/** Without the code, which a program can take away: its data stays where it was, as far as this kernel has the same. */
function keepData(scope: ThawProcess["scope"], state: VdsoState, parked: ParkedVdso): void {
  for (const { name, start, end } of parked.parts) {
    const kept = state.parts.find((part) => part.name === name && unhex(part.end) - unhex(part.start) === end - start);
    const flags = MREMAP.MREMAP_MAYMOVE | MREMAP.MREMAP_FIXED;
    if (!kept) scope.call("munmap", "Taking the vDSO away", start, end - start);
    else if (unhex(kept.start) !== start) {
      scope.call("mremap", `Moving ${name}`, start, end - start, end - start, flags, unhex(kept.start));
    }
  }
}

/** System calls that the vDSO's functions stand for, for kernels that lack one of them. */
const FALLBACKS: Readonly<Record<string, number>> = {
  gettimeofday: SYS.gettimeofday,
  time: SYS.time,
  getcpu: SYS.getcpu,
  clock_gettime: SYS.clock_gettime,
  clock_getres: SYS.clock_getres,
  // The two arguments more that the function has are for its own state, which the kernel does not need.
  getrandom: SYS.getrandom,
};

/** Each function has a weak alias without the prefix; kernels differ in which of the two they have. */
function plainName(symbol: DynamicSymbol): string {
  return symbol.name.replace(/^__vdso_/, "");
}

/** The old code with a jump at each of its functions. */
export function redirect(oldCode: Buffer, newCode: Buffer, newStart: number): Buffer {
  const patched = Buffer.from(oldCode);
  const functions = (code: Buffer): DynamicSymbol[] => readDynamicSymbols(code).filter((symbol) => symbol.isFunction);
  const targets = new Map(functions(newCode).map((symbol) => [plainName(symbol), symbol.value]));
  for (const symbol of functions(oldCode)) {
    const target = targets.get(plainName(symbol));
    const code = target === undefined ? systemCall(FALLBACKS[plainName(symbol)]) : absoluteJump(newStart + target);
    if (code.length > symbol.size) {
      throw failures.VDSO_FUNCTION_SHORT({ name: symbol.name, size: symbol.size });
    }
    code.copy(patched, symbol.value);
  }
  return patched;
}

/** `mov rax, address; jmp rax`: the calling convention lets a function overwrite rax. */
function absoluteJump(address: number): Buffer {
  const code = Buffer.from([0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0]);
  code.writeBigUInt64LE(BigInt(address), 2);
  return code;
}

/** `mov eax, nr; syscall; ret`, or for a function without a system call of the same shape `mov rax, -ENOSYS; ret`. */
function systemCall(nr: number | undefined): Buffer {
  if (nr === undefined) return Buffer.from([0x48, 0xc7, 0xc0, 0xda, 0xff, 0xff, 0xff, 0xc3]);
  const code = Buffer.from([0xb8, 0, 0, 0, 0, 0x0f, 0x05, 0xc3]);
  code.writeUInt32LE(nr, 1);
  return code;
}

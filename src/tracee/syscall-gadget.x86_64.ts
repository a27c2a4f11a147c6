/**
 * Where a remote call can happen in a running program without anything of ours being loaded into it.
 *
 * The call itself is made by a `syscall; …; ret` of the vDSO. The stack that it returns to is ours: it leads into the
 * program's own `mov $15, %rax; syscall` (the C library's signal restorer) and so through rt_sigreturn back to where
 * the thread was. kmonte stops the thread before it gets that far; but should kmonte be killed in the middle of the
 * call, the thread walks home by itself. This stack stands in the dead part of the main thread's, far below its end,
 * where any signal handler might write, and its bytes are put back as well.
 */
import { getRegisters, getXstate } from "./ptrace.ts";
import { sigframeSize } from "../abi/sigframe.x86_64.ts";
import { failures } from "../errors/catalogue.ts";
import { remoteAddress, type RemoteAddress } from "../lib/brand.ts";
import type { TraceeMemory } from "./memory.ts";
import type { Mapping } from "../proc/maps.ts";
import { SCRATCH_SIZE, TABLE_SIZE } from "./scope.ts";

export interface SyscallGadget {
  readonly memory: TraceeMemory;
  /** A `syscall` instruction that is followed by `pops` pops and a `ret`. */
  readonly syscall: RemoteAddress;
  readonly pops: number;
  /** `mov $15, %rax; syscall`; undefined in the rare program without a signal restorer. */
  readonly restorer: RemoteAddress | undefined;
  /** Dead stack that is used during calls: scratch first, then the way home. */
  readonly area: RemoteAddress;
  readonly areaSize: number;
}

/** Below rsp, 128 bytes belong to the running function (the red zone of the x86-64 ABI). */
const RED_ZONE = 128;
/** Programs' text is searched for the restorer in pieces of this size. */
const TEXT_CHUNK = 1024 * 1024;
/** No pattern is longer. */
const AROUND = 64;
const SYSCALL = Buffer.from("0f05", "hex");
/** `mov $15, %rax; syscall` and the shorter `mov $15, %eax; syscall`. */
const RESTORERS = ["48c7c00f0000000f05", "b80f0000000f05"].map((hex) => Buffer.from(hex, "hex"));

/** Looks for the places in a stopped process; `tid` is its main thread, or any other if that has ended. */
export function findGadget(tid: number, memory: TraceeMemory, mappings: readonly Mapping[]): SyscallGadget {
  const gate = findGate(memory, mappings);
  if (!gate) {
    throw failures.NO_VDSO.process({ tid });
  }
  const areaSize = SCRATCH_SIZE + TABLE_SIZE + 128 + sigframeSize(getXstate(tid).length) + 64;
  return {
    memory,
    syscall: gate.syscall,
    pops: gate.pops,
    restorer: findRestorer(memory, mappings),
    area: findDeadStack(tid, mappings, areaSize),
    areaSize,
  };
}

/** In the vDSO, or in the text of a program that has taken the vDSO away (valgrind). */
function findGate(
  memory: TraceeMemory,
  mappings: readonly Mapping[],
): Pick<SyscallGadget, "syscall" | "pops"> | undefined {
  const vdso = mappings.filter((mapping) => mapping.path === "[vdso]");
  const found = gates.find(memory, [...vdso, ...textsOf(mappings)], findSyscallReturn);
  return found && { syscall: remoteAddress(found.at), pops: found.pops };
}

function textsOf(mappings: readonly Mapping[]): readonly Mapping[] {
  return mappings.filter(({ prot, inode }) => prot.includes("x") && inode !== 0);
}

/** Text is searched once for each file: where something was found in one process, it is looked for first in the next. */
class Finds {
  /** By file: offsets into it. */
  readonly #known = new Map<string, number>();

  /** The first place that `look` finds in the mappings. */
  find<T extends { readonly offset: number }>(
    memory: TraceeMemory,
    mappings: readonly Mapping[],
    look: (code: Buffer) => T | undefined,
  ): (T & { readonly at: number }) | undefined {
    for (const mapping of mappings) {
      const at = mapping.start + (this.#known.get(fileOf(mapping)) ?? Infinity) - mapping.offset;
      if (at < mapping.start || at >= mapping.end) continue;
      const found = look(memory.read(remoteAddress(at), Math.min(AROUND, mapping.end - at)));
      if (found) return { ...found, at: at + found.offset };
    }
    for (const mapping of mappings) {
      const { start, end } = mapping;
      for (let at = start; at < end; at += TEXT_CHUNK) {
        const found = look(memory.read(remoteAddress(at), Math.min(TEXT_CHUNK + AROUND, end - at)));
        if (!found) continue;
        this.#known.set(fileOf(mapping), at + found.offset - start + mapping.offset);
        return { ...found, at: at + found.offset };
      }
    }
    return undefined;
  }
}

const fileOf = ({ device, inode, path }: Mapping): string => `${device} ${inode} ${path}`;
const gates = new Finds();
const restorers = new Finds();

/** `xor reg, reg`, with which kernels built to clear used registers (-fzero-call-used-regs) end their functions. */
function isRegisterXor(code: Buffer, at: number): boolean {
  const start = code[at] === 0x45 || code[at] === 0x44 || code[at] === 0x41 ? at + 1 : at;
  return code[start] === 0x31 && (code[start + 1] ?? 0) >= 0xc0;
}

/** Finds `0f 05`, any number of `pop`s and register clearings, and a `ret`. */
function findSyscallReturn(code: Buffer): { offset: number; pops: number } | undefined {
  for (let at = code.indexOf(SYSCALL); at >= 0; at = code.indexOf(SYSCALL, at + 1)) {
    let next = at + 2;
    let pops = 0;
    for (;;) {
      if (code[next] === 0x41 && ((code[next + 1] ?? 0) & 0xf8) === 0x58) next += 2;
      else if (((code[next] ?? 0) & 0xf8) === 0x58) next += 1;
      else if (isRegisterXor(code, next)) {
        next += code[next] === 0x31 ? 2 : 3;
        continue;
      } else break;
      pops += 1;
    }
    if (code[next] === 0xc3) return { offset: at, pops };
  }
  return undefined;
}

function findRestorer(memory: TraceeMemory, mappings: readonly Mapping[]): RemoteAddress | undefined {
  const found = restorers.find(memory, textsOf(mappings), (text) => {
    const offset = RESTORERS.map((pattern) => text.indexOf(pattern)).find((place) => place >= 0);
    return offset === undefined ? undefined : { offset };
  });
  return found && remoteAddress(found.at);
}

function findDeadStack(tid: number, mappings: readonly Mapping[], size: number): RemoteAddress {
  const rsp = Number(getRegisters(tid).get("rsp"));
  const stack =
    mappings.find((mapping) => mapping.start <= rsp && rsp < mapping.end && mapping.path === "[stack]") ??
    mappings.find((mapping) => mapping.path === "[stack]") ??
    mappings.find((mapping) => mapping.start <= rsp && rsp < mapping.end);
  if (!stack) {
    throw failures.NO_STACK({ tid });
  }
  const inside = stack.start <= rsp && rsp < stack.end;
  const top = inside ? rsp - RED_ZONE - size : stack.start + size;
  // The bottom of the mapping is as far from the program's own use as can be; a stack that is full to its end is
  // grown by the kernel, as it would be for a signal.
  return remoteAddress(Math.floor(Math.min(Math.max(stack.start, 0), top) / 64) * 64);
}

/** io_uring_setup(2), io_uring_enter(2) (include/uapi/linux/io_uring.h). */
import { attempt, call, SyscallError, withStruct } from "./call.ts";
import { ERRNO } from "./errno.ts";
import { viewMemory } from "./ffi.unsafe.ts";
import { MADV, MAP, PROT } from "./mman.ts";
import type { LocalFd } from "../lib/brand.ts";

const PARAMS_SIZE = 120;
const IORING_SETUP_CQSIZE = 8;
/** Offsets at which mmap(2) finds the parts of a ring. */
export const IORING_OFF = { SQ_RING: 0, CQ_RING: 0x800_0000, SQES: 0x1000_0000 } as const;
export const IORING_REGISTER_EVENTFD = 4;
export const IORING_ENTER_REGISTERED_RING = 0x10;
/** An address that no process has: the kernel looks whether an eventfd is registered before it reads the argument. */
export const UNREADABLE = 8;
/** A submission entry, and where things stand in it. */
export const SQE = { SIZE: 64, OPCODE: 0, TIMEOUT_FLAGS: 28 } as const;
export const IORING_OP_TIMEOUT = 11;
export const IORING_TIMEOUT_MULTISHOT = 0x40;
const CQE_SIZE = 16;

/** Where things stand in the memory of a ring, as io_uring_setup told; part of the user-space interface. */
export interface RingLayout {
  readonly sqHead: number;
  readonly sqTail: number;
  readonly sqArray: number;
  readonly cqHead: number;
  readonly cqTail: number;
  readonly cqes: number;
}

/** Makes a ring of our own; both counts are powers of two. */
export function setupRing(sqEntries: number, cqEntries: number): { fd: LocalFd; layout: RingLayout } {
  return withStruct(PARAMS_SIZE, (bytes, address) => {
    bytes.writeUInt32LE(IORING_SETUP_CQSIZE, 8);
    bytes.writeUInt32LE(cqEntries, 4);
    const fd = call("io_uring_setup", "Making an io_uring", sqEntries, address) as LocalFd;
    const layout = {
      sqHead: bytes.readUInt32LE(40),
      sqTail: bytes.readUInt32LE(44),
      sqArray: bytes.readUInt32LE(64),
      cqHead: bytes.readUInt32LE(80),
      cqTail: bytes.readUInt32LE(84),
      cqes: bytes.readUInt32LE(100),
    };
    return { fd, layout };
  });
}

/** Bytes of ring memory up to the end of the completion entries, and up to the end of the submission array. */
export function ringSizes(
  layout: RingLayout,
  sqEntries: number,
  cqEntries: number,
): { completions: number; array: number } {
  return { completions: layout.cqes + cqEntries * CQE_SIZE, array: layout.sqArray + sqEntries * 4 };
}

/** Memory of a ring in this process, until disposed of. */
export class RingMemory implements Disposable {
  readonly bytes: Buffer;
  readonly #address: number;

  constructor(fd: LocalFd, offset: number, size: number) {
    this.#address = call(
      "mmap",
      "Looking into an io_uring",
      0,
      size,
      PROT.PROT_READ | PROT.PROT_WRITE,
      MAP.MAP_SHARED,
      fd,
      offset,
    );
    // A kernel that maps more than there is would answer a look at the rest with SIGBUS. Others refuse to map it; of
    // these, some do not know this advice.
    const filled = attempt("madvise", this.#address, size, MADV.MADV_POPULATE_READ);
    if (filled === -ERRNO.EFAULT) {
      call("munmap", "Leaving an io_uring", this.#address, size);
      throw new SyscallError("madvise", filled, "Looking into an io_uring");
    }
    this.bytes = viewMemory(this.#address, size);
  }

  [Symbol.dispose](): void {
    call("munmap", "Leaving an io_uring", this.#address, this.bytes.length);
  }
}

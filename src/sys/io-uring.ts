/** io_uring_setup(2), io_uring_enter(2) (include/uapi/linux/io_uring.h). */
import { ERRNO } from "../abi/errno.ts";
import { IORING_SETUP_CQSIZE, PARAMS_SIZE, type RingLayout } from "../abi/io-uring.ts";
import { MADV, MAP, PROT } from "../abi/mman.ts";
import type { LocalFd } from "../lib/brand.ts";
import { SyscallError, attempt, call, withStruct } from "./call.ts";
import { viewMemory } from "./ffi.unsafe.ts";

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

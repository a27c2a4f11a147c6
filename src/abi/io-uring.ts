/** io_uring_setup(2), io_uring_enter(2) (include/uapi/linux/io_uring.h). */

export const PARAMS_SIZE = 120;
export const IORING_SETUP_CQSIZE = 8;
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

/** Bytes of ring memory up to the end of the completion entries, and up to the end of the submission array. */
export function ringSizes(
  layout: RingLayout,
  sqEntries: number,
  cqEntries: number,
): { completions: number; array: number } {
  return { completions: layout.cqes + cqEntries * CQE_SIZE, array: layout.sqArray + sqEntries * 4 };
}

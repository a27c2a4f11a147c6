/** clone(2), clone3(2), unshare(2) (include/uapi/linux/sched.h). */

export const CLONE = {
  NEWTIME: 0x80,
  VM: 0x100,
  FS: 0x200,
  FILES: 0x400,
  SIGHAND: 0x800,
  PIDFD: 0x1000,
  PTRACE: 0x2000,
  VFORK: 0x4000,
  PARENT: 0x8000,
  THREAD: 0x10000,
  NEWNS: 0x20000,
  SYSVSEM: 0x40000,
  SETTLS: 0x80000,
  PARENT_SETTID: 0x100000,
  CHILD_CLEARTID: 0x200000,
  UNTRACED: 0x800000,
  CHILD_SETTID: 0x1000000,
  NEWCGROUP: 0x2000000,
  NEWUTS: 0x4000000,
  NEWIPC: 0x8000000,
  NEWUSER: 0x10000000,
  NEWPID: 0x20000000,
  NEWNET: 0x40000000,
  IO: 0x80000000,
} as const;

/** Size of struct clone_args up to and with `cgroup` (CLONE_ARGS_SIZE_VER2). */
export const CLONE_ARGS_SIZE = 88;

export interface CloneArgs {
  readonly flags: number;
  readonly exitSignal: number;
  /** Where the kernel writes for CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID: an address of a pid_t in the child. */
  readonly childTid?: number;
  readonly stack?: number;
  readonly stackSize?: number;
  /** Address of an array of pid_t in the caller, innermost pid namespace first. */
  readonly setTid?: number;
  readonly setTidSize?: number;
}

/** struct clone_args, eleven 64-bit words. */
export function encodeCloneArgs(args: CloneArgs): Buffer {
  const bytes = Buffer.alloc(CLONE_ARGS_SIZE);
  [
    args.flags,
    0,
    args.childTid ?? 0,
    0,
    args.exitSignal,
    args.stack ?? 0,
    args.stackSize ?? 0,
    0,
    args.setTid ?? 0,
    args.setTidSize ?? 0,
    0,
  ].forEach((word, index) => bytes.writeBigUInt64LE(BigInt(word), index * 8));
  return bytes;
}

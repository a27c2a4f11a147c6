/** mmap(2), madvise(2) (include/uapi/asm-generic/mman-common.h, arch/x86/include/uapi/asm/mman.h). */
import type { FlagTable } from "../lib/flags.ts";

export const PAGE_SIZE = 4096;

export const PROT = { PROT_READ: 1, PROT_WRITE: 2, PROT_EXEC: 4 } as const satisfies FlagTable;

export const MAP = {
  MAP_SHARED: 1,
  MAP_PRIVATE: 2,
  MAP_DROPPABLE: 8,
  MAP_FIXED: 0x10,
  MAP_ANONYMOUS: 0x20,
  MAP_GROWSDOWN: 0x100,
  MAP_LOCKED: 0x2000,
  MAP_NORESERVE: 0x4000,
  MAP_POPULATE: 0x8000,
  MAP_STACK: 0x20000,
  MAP_HUGETLB: 0x40000,
  MAP_SYNC: 0x80000,
  MAP_FIXED_NOREPLACE: 0x100000,
} as const satisfies FlagTable;

export const MREMAP = { MREMAP_MAYMOVE: 1, MREMAP_FIXED: 2 } as const;

export const MADV = {
  MADV_NORMAL: 0,
  MADV_RANDOM: 1,
  MADV_SEQUENTIAL: 2,
  MADV_WILLNEED: 3,
  MADV_DONTNEED: 4,
  MADV_DONTFORK: 10,
  MADV_MERGEABLE: 12,
  MADV_HUGEPAGE: 14,
  MADV_NOHUGEPAGE: 15,
  MADV_DONTDUMP: 16,
  MADV_DODUMP: 17,
  MADV_WIPEONFORK: 18,
  MADV_POPULATE_READ: 22,
  MADV_GUARD_INSTALL: 102,
} as const satisfies FlagTable;

/** VmFlags of smaps that stand for an madvise mark (proc_pid_smaps(5)). */
export const ADVICE_BY_VMFLAG: Readonly<Record<string, keyof typeof MADV>> = {
  rr: "MADV_RANDOM",
  sr: "MADV_SEQUENTIAL",
  dc: "MADV_DONTFORK",
  mg: "MADV_MERGEABLE",
  hg: "MADV_HUGEPAGE",
  nh: "MADV_NOHUGEPAGE",
  dd: "MADV_DONTDUMP",
  wf: "MADV_WIPEONFORK",
};

export const MLOCK_ONFAULT = 1;
/** mlockall(2). */
export const MCL = { MCL_CURRENT: 1, MCL_FUTURE: 2, MCL_ONFAULT: 4 } as const;

/** Prot bits for the letters of /proc/PID/maps. */
export function protBits(letters: string): number {
  return (letters.includes("r") ? 1 : 0) | (letters.includes("w") ? 2 : 0) | (letters.includes("x") ? 4 : 0);
}

/** _IOWR('f', 16, struct pm_scan_arg) of include/uapi/linux/fs.h. */
export const PAGEMAP_SCAN = 0xc060_6610;
export const PAGE_IS = { FILE: 4n, PRESENT: 8n, SWAPPED: 16n, PFNZERO: 32n, GUARD: 256n } as const;
export const PM_SCAN_ARG_SIZE = 96;
export const PAGE_REGION_SIZE = 24;

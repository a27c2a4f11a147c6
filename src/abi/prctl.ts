/** prctl(2) and arch_prctl(2) (include/uapi/linux/prctl.h, arch/x86/include/uapi/asm/prctl.h). */

export const PR = {
  SET_PDEATHSIG: 1,
  GET_PDEATHSIG: 2,
  GET_DUMPABLE: 3,
  SET_DUMPABLE: 4,
  GET_KEEPCAPS: 7,
  SET_KEEPCAPS: 8,
  SET_NAME: 15,
  GET_SECCOMP: 21,
  SET_SECCOMP: 22,
  CAPBSET_DROP: 24,
  GET_TSC: 25,
  SET_TSC: 26,
  GET_SECUREBITS: 27,
  SET_SECUREBITS: 28,
  SET_TIMERSLACK: 29,
  GET_TIMERSLACK: 30,
  MCE_KILL: 33,
  MCE_KILL_GET: 34,
  SET_MM: 35,
  SET_CHILD_SUBREAPER: 36,
  GET_CHILD_SUBREAPER: 37,
  SET_NO_NEW_PRIVS: 38,
  GET_NO_NEW_PRIVS: 39,
  GET_TID_ADDRESS: 40,
  SET_THP_DISABLE: 41,
  GET_THP_DISABLE: 42,
  CAP_AMBIENT: 47,
  SET_IO_FLUSHER: 57,
  GET_IO_FLUSHER: 58,
  SCHED_CORE: 62,
  GET_SPECULATION_CTRL: 52,
  SET_SPECULATION_CTRL: 53,
  SET_MDWE: 65,
  GET_MDWE: 66,
  SET_MEMORY_MERGE: 67,
  GET_MEMORY_MERGE: 68,
  TIMER_CREATE_RESTORE_IDS: 77,
  FUTEX_HASH: 78,
  SET_VMA: 0x53564d41,
} as const;

export const PR_SET_MM_MAP = 14;
export const PR_SET_VMA_ANON_NAME = 0;
export const PR_CAP_AMBIENT = { IS_SET: 1, RAISE: 2, LOWER: 3, CLEAR_ALL: 4 } as const;
export const PR_MCE_KILL = { CLEAR: 0, SET: 1 } as const;
export const PR_SCHED_CORE_GET = 0;
export const PR_THP_DISABLE_EXCEPT_ADVISED = 2;
export const PR_TIMER_CREATE_RESTORE_IDS = { OFF: 0, ON: 1, GET: 2 } as const;
export const PR_FUTEX_HASH = { SET_SLOTS: 1, GET_SLOTS: 2 } as const;
export const PR_SPEC = { STORE_BYPASS: 0, INDIRECT_BRANCH: 1 } as const;
export const PR_SPEC_CONTROL = { disabled: 4, forceDisabled: 8 } as const;
export const ARCH = {
  SET_GS: 0x1001,
  SET_FS: 0x1002,
  GET_CPUID: 0x1011,
  SET_CPUID: 0x1012,
  GET_XCOMP_PERM: 0x1022,
  REQ_XCOMP_PERM: 0x1023,
} as const;

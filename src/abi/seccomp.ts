/** seccomp(2) (include/uapi/linux/seccomp.h). */
import type { FlagTable } from "../lib/flags.ts";

export const SECCOMP_SET_MODE = { STRICT: 0, FILTER: 1 } as const;

/** Flags that PTRACE_SECCOMP_GET_METADATA reports and seccomp(2) takes again. */
export const SECCOMP_FILTER_FLAG = {
  SECCOMP_FILTER_FLAG_TSYNC: 1,
  SECCOMP_FILTER_FLAG_LOG: 2,
} as const satisfies FlagTable;

/** struct sock_filter: code, jt, jf, k. */
export const SOCK_FILTER_SIZE = 8;
/** BPF_MAXINSNS (include/uapi/linux/bpf_common.h). */
export const BPF_MAXINSNS = 4096;

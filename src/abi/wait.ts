/** wait4(2) and its status words (include/uapi/linux/wait.h, bits/waitstatus.h). */

export const WAIT = {
  WNOHANG: 1,
  WUNTRACED: 2,
  WEXITED: 4,
  WCONTINUED: 8,
  WNOWAIT: 0x0100_0000,
  WALL: 0x4000_0000,
  /** Only children that tell of their end by no SIGCHLD (__WCLONE). */
  WCLONE: 0x8000_0000,
} as const;

/** In a status word: the process has left a core file (WCOREDUMP of wait(2)). */
export const WAIT_CORE_FLAG = 0x80;

/** Whom waitid(2) waits for. */
export const P = { ALL: 0, PID: 1 } as const;

/** si_code of SIGCHLD (sigaction(2)). */
export const CLD = { STOPPED: 5, CONTINUED: 6 } as const;

export type WaitStatus =
  | { readonly state: "exited"; readonly code: number }
  | { readonly state: "killed"; readonly signal: number }
  /** `event` is a PTRACE_EVENT number or 0; `signal` keeps bit 0x80 of a system call stop. */
  | { readonly state: "stopped"; readonly signal: number; readonly event: number };

/** Takes a status word apart. */
export function decodeWaitStatus(status: number): WaitStatus {
  const low = status & 0x7f;
  if (low === 0) return { state: "exited", code: (status >> 8) & 0xff };
  if ((status & 0xff) === 0x7f) return { state: "stopped", signal: (status >> 8) & 0xff, event: (status >> 16) & 0xff };
  return { state: "killed", signal: low };
}

/** Flags of a task as field 9 of /proc/PID/stat shows them (proc_pid_stat(5); include/linux/sched.h, not in any header for users). */
export const PF = {
  PF_EXITING: 0x4,
  PF_IO_WORKER: 0x10,
  /** Before 6.4 this bit meant something else, of a thread that loads a module. */
  PF_USER_WORKER: 0x4000,
  PF_KTHREAD: 0x20_0000,
} as const;

/** IPC of System V (sysvipc(7)): include/uapi/linux/{ipc,sem,msg,shm}.h, arch/x86/include/uapi/asm/{ipcbuf,msgbuf}.h. */
import type { FlagTable } from "../lib/flags.ts";

/** Flags of shmget(2), semget(2), msgget(2) and of operations; commands of the …ctl calls. */
export const IPC = {
  IPC_PRIVATE: 0,
  IPC_CREAT: 0o1000,
  IPC_EXCL: 0o2000,
  IPC_NOWAIT: 0o4000,
  IPC_RMID: 0,
  IPC_SET: 1,
  IPC_STAT: 2,
} as const;

export const SHM = {
  SHM_HUGETLB: 0o4000,
  SHM_RDONLY: 0o10000,
  SHM_LOCK: 11,
  /** Marked for removal, and locked: both stand among the permissions that /proc/sysvipc/shm shows. */
  SHM_DEST: 0o1000,
  SHM_LOCKED: 0o2000,
} as const satisfies FlagTable;

export const SEM = { GETPID: 11, GETVAL: 12, GETALL: 13, SETVAL: 16, SEM_UNDO: 0x1000 } as const;
/** Bounds of a semaphore and of an adjustment (SEMVMX, SEMAEM). */
export const MOST_SEMAPHORE = 32767;
/** struct sembuf of semop(2). */
export const SEMBUF_SIZE = 6;

export const MSG_COPY = 0o40000;

export const IPC_PERMISSIONS = 0o777;
/** Places in struct ipc64_perm, with which struct shmid_ds, semid_ds and msqid_ds begin. */
export const PERM = { UID: 4, GID: 8, MODE: 20 } as const;
/** Where struct msqid64_ds has msg_qbytes. */
export const MSG_QBYTES = 88;
export const LARGEST_DS = 128;

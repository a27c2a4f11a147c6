/**
 * What a failed system call says to a person, by its errno (errno(3)): the surroundings of kmonte cause most of these
 * failures, limits and rights first of all, and whoever owns the machine can do something about them.
 */
import { KmonteError } from "./errors.ts";
import { errnoOf } from "./no-such-file.ts";

interface SystemFailure {
  readonly code: string;
  readonly kind: "failed";
  readonly remedy: string;
}

const FAILURES: Readonly<Record<string, SystemFailure>> = {
  EMFILE: {
    code: "OPEN_FILES_LIMIT",
    kind: "failed",
    remedy: "Raise the limit of open files that kmonte is started with (ulimit -Hn, LimitNOFILE=) and try again.",
  },
  ENFILE: {
    code: "SYSTEM_OPEN_FILES_LIMIT",
    kind: "failed",
    remedy: "Raise /proc/sys/fs/file-max or close files elsewhere, and try again.",
  },
  ENOMEM: {
    code: "OUT_OF_MEMORY",
    kind: "failed",
    remedy:
      "Free some memory, or raise the limit (memory.max of the control group, ulimit -v, vm.max_map_count); try again.",
  },
  ENOSPC: {
    code: "NO_SPACE",
    kind: "failed",
    remedy:
      "Free some space there; for what is no file, raise its limit (fs.inotify, kernel.shm*, kernel.sem); try again.",
  },
  EDQUOT: {
    code: "QUOTA_EXCEEDED",
    kind: "failed",
    remedy: "Free some space, choose a place without this quota, or have the quota raised (quota(1)); try again.",
  },
  EFBIG: {
    code: "FILE_SIZE_LIMIT",
    kind: "failed",
    remedy:
      "Raise the limit of file sizes that kmonte is started with (ulimit -f, LimitFSIZE=), or choose another file system.",
  },
  EROFS: {
    code: "READ_ONLY_FILE_SYSTEM",
    kind: "failed",
    remedy:
      "Choose a place that can be written to, or mount it read-write; after errors of a disk dmesg says why it is not.",
  },
  EACCES: {
    code: "ACCESS_DENIED",
    kind: "failed",
    remedy:
      "Look at owner and mode of the path and of the folders above it, and at what a security module forbids (dmesg).",
  },
  EPERM: {
    code: "OPERATION_NOT_PERMITTED",
    kind: "failed",
    remedy:
      "Run kmonte as root with all capabilities, outside of containers; a seccomp filter, a security module or the kernel's lockdown may forbid it too (dmesg).",
  },
  ENOSYS: {
    code: "SYSCALL_MISSING",
    kind: "failed",
    remedy:
      "Use a kernel of 5.10 or later that has this system call, and run kmonte outside of sandboxes that hide it.",
  },
  EOPNOTSUPP: {
    code: "OPERATION_NOT_SUPPORTED",
    kind: "failed",
    remedy: "Choose another file system for the path, or a kernel that is configured with what this needs.",
  },
  EIO: {
    code: "DEVICE_ERROR",
    kind: "failed",
    remedy: "Look at the kernel's log (dmesg): a disk, file system or server answers with errors.",
  },
};

/** clone(2), fork(2), and what Node makes threads and processes with. */
const BIRTHS = /^(v?fork|clone3?|pthread_create|spawn.*)$/;

const PROCESS_LIMIT: SystemFailure = {
  code: "PROCESS_LIMIT",
  kind: "failed",
  remedy: "Raise the limit of processes (ulimit -u, TasksMax=, pids.max, kernel.pid_max) or end some, and try again.",
};

/** For an errno that only an unusual kernel or a defect gives. */
const UNEXPECTED =
  "Try again; if it stays so, report it with this message, kmonte --version and uname -a: kmonte does not expect it.";

/** The code and the remedy for a system call that failed with this errno. */
export function systemFailure(errno: string, syscall: string): { readonly code: string; readonly remedy: string } {
  if (errno === "EAGAIN" && BIRTHS.test(syscall)) return PROCESS_LIMIT;
  return FAILURES[errno] ?? { code: `SYSCALL_${errno}`, remedy: UNEXPECTED };
}

/** What helps where a system call failed with this errno, if that is known. */
export function remedyFor(errno: string): string | undefined {
  return FAILURES[errno]?.remedy;
}

/** A call of Node's to the system that nobody expected to fail, as a failure with a name; anything else as it is. */
export function namedFailure(error: unknown): unknown {
  if (error instanceof KmonteError || !(error instanceof Error)) return error;
  const { syscall, errno, about } = callOf(error);
  if (errno === undefined || syscall === undefined) return error;
  if (syscall === "uv_cwd") return noWorkingDirectory(errno, error);
  const { path } = error as NodeJS.ErrnoException;
  const { code, remedy } = systemFailure(errno, syscall);
  const what = `${about ?? syscall}${path === undefined ? "" : ` of ${path}`} did not work.`;
  const text = { what, why: `The system call ${syscall} failed with ${errno}.`, remedy };
  return new KmonteError(code, text, { facts: { syscall, errno, ...(path !== undefined && { path }) }, cause: error });
}

/** getcwd(2), which path names are completed with. */
function noWorkingDirectory(errno: string, cause: Error): KmonteError {
  return new KmonteError(
    "WORKING_DIRECTORY_GONE",
    {
      what: "kmonte has no working directory to look for files in.",
      why: `The system call getcwd failed with ${errno}: as a rule, the directory has been removed.`,
      remedy: "Change to a directory that exists (cd /), and try again.",
    },
    { facts: { syscall: "getcwd", errno }, cause },
  );
}

/** What failed; for a thread, Node says it in words. */
function callOf(error: Error): { syscall?: string | undefined; errno?: string | undefined; about?: string } {
  const { code, syscall } = error as NodeJS.ErrnoException;
  const about = "Starting a thread";
  if (code === "ERR_WORKER_OUT_OF_MEMORY") return { syscall: "mmap", errno: "ENOMEM", about };
  if (code === "ERR_WORKER_INIT_FAILED")
    return { syscall: "pthread_create", errno: /\bE[A-Z0-9]+\b/.exec(error.message)?.[0] ?? "EAGAIN", about };
  return { syscall, errno: errnoOf(error) };
}

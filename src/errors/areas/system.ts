/** System calls of kmonte's own that failed: its surroundings cause most of these, limits and rights first of all. */
import { type Entry, failed, type Numbers, type Texts } from "../entry.ts";
import type { KmonteError } from "../failure.ts";

/** A system call that failed: `about` is what it was to do. */
export interface FailedCall {
  readonly about: string;
  readonly syscall: string;
  readonly errno: string;
  readonly path?: string | undefined;
  readonly pid?: number | undefined;
}

export function failedCall(remedy: string): Entry<FailedCall, KmonteError> {
  return failed(({ about, syscall, errno, path, pid }: FailedCall) => ({
    what: `${about} did not work.`,
    why: `The system call ${syscall} failed with ${errno}.`,
    remedy,
    facts: { syscall, errno, ...(path !== undefined && { path }), ...(pid !== undefined && { pid }) },
  }));
}

export const system = {
  WORKING_DIRECTORY_GONE: failed(({ errno }: Texts<"errno">) => ({
    what: "kmonte has no working directory to look for files in.",
    why: `The system call getcwd failed with ${errno}: as a rule, the directory has been removed.`,
    remedy: "Change to a directory that exists (cd /), and try again.",
    facts: { syscall: "getcwd", errno },
  })),
  NO_EXECUTABLE_MEMORY: failed(() => ({
    what: "kmonte may not make machine code of its own executable.",
    why: "mprotect(PROT_EXEC) was refused, as a security module or seccomp filter does.",
    remedy: "Run kmonte outside of the sandbox that forbids it.",
  })),
  OUT_OF_MEMORY: {
    ofKmonte: failed(({ size, errno }: Numbers<"size" | "errno">) => ({
      what: "There is not enough memory for kmonte itself.",
      why: `mmap of ${size} bytes failed with errno ${errno}.`,
      remedy: "Free some memory, or raise the limit of address space (ulimit -v), and try again.",
      facts: { syscall: "mmap", errno: "ENOMEM" },
    })),
    call: failedCall(
      "Free some memory, or raise the limit (memory.max of the control group, ulimit -v, vm.max_map_count); try again.",
    ),
  },
  SYSTEM_OPEN_FILES_LIMIT: failedCall("Raise /proc/sys/fs/file-max or close files elsewhere, and try again."),
  NO_SPACE: failedCall(
    "Free some space there; for what is no file, raise its limit (fs.inotify, kernel.shm*, kernel.sem); try again.",
  ),
  QUOTA_EXCEEDED: failedCall(
    "Free some space, choose a place without this quota, or have the quota raised (quota(1)); try again.",
  ),
  FILE_SIZE_LIMIT: failedCall(
    "Raise the limit of file sizes that kmonte is started with (ulimit -f, LimitFSIZE=), or choose another file system.",
  ),
  READ_ONLY_FILE_SYSTEM: failedCall(
    "Choose a place that can be written to, or mount it read-write; after errors of a disk dmesg says why it is not.",
  ),
  ACCESS_DENIED: failedCall(
    "Look at owner and mode of the path and of the folders above it, and at what a security module forbids (dmesg).",
  ),
  OPERATION_NOT_PERMITTED: failedCall(
    "Run kmonte as root with all capabilities, outside of containers; a seccomp filter, a security module or the kernel's lockdown may forbid it too (dmesg).",
  ),
  SYSCALL_MISSING: failedCall(
    "Use a kernel of 5.10 or later that has this system call, and run kmonte outside of sandboxes that hide it.",
  ),
  OPERATION_NOT_SUPPORTED: failedCall(
    "Choose another file system for the path, or a kernel that is configured with what this needs.",
  ),
  DEVICE_ERROR: failedCall("Look at the kernel's log (dmesg): a disk, file system or server answers with errors."),
  PROCESS_LIMIT: failedCall(
    "Raise the limit of processes (ulimit -u, TasksMax=, pids.max, kernel.pid_max) or end some, and try again.",
  ),
};

const unexpected = failedCall(
  "Try again; if it stays so, report it with this message, kmonte --version and uname -a: kmonte does not expect it.",
);

/** For an errno that only an unusual kernel or a defect gives, and that is a code by itself. */
export function unexpectedErrno(values: FailedCall & { readonly cause?: unknown }): KmonteError {
  return unexpected.make(`SYSCALL_${values.errno}`, values);
}

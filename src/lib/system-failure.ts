/**
 * What a failed system call says to a person, by its errno (errno(3)): the surroundings of kmonte cause most of these
 * failures, limits and rights first of all, and whoever owns the machine can do something about them.
 */
import { unexpectedErrno } from "../errors/areas/system.ts";
import { failures } from "../errors/catalogue.ts";
import { KmonteError } from "../errors/failure.ts";
import { errnoOf } from "./no-such-file.ts";

type Call = Parameters<typeof unexpectedErrno>[0];

const FAILURES: Readonly<Record<string, (call: Call) => KmonteError>> = {
  EMFILE: failures.OPEN_FILES_LIMIT.call,
  ENFILE: failures.SYSTEM_OPEN_FILES_LIMIT,
  ENOMEM: failures.OUT_OF_MEMORY.call,
  ENOSPC: failures.NO_SPACE,
  EDQUOT: failures.QUOTA_EXCEEDED,
  EFBIG: failures.FILE_SIZE_LIMIT,
  EROFS: failures.READ_ONLY_FILE_SYSTEM,
  EACCES: failures.ACCESS_DENIED,
  EPERM: failures.OPERATION_NOT_PERMITTED,
  ENOSYS: failures.SYSCALL_MISSING,
  EOPNOTSUPP: failures.OPERATION_NOT_SUPPORTED,
  EIO: failures.DEVICE_ERROR,
};

/** clone(2), fork(2), and what Node makes threads and processes with. */
const BIRTHS = /^(v?fork|clone3?|pthread_create|spawn.*)$/;

/** A system call that failed, as a failure with a code and a remedy. */
export function systemFailure(call: Call): KmonteError {
  if (call.errno === "EAGAIN" && BIRTHS.test(call.syscall)) return failures.PROCESS_LIMIT(call);
  return (FAILURES[call.errno] ?? unexpectedErrno)(call);
}

/** What helps where a system call failed with this errno, if that is known. */
export function remedyFor(errno: string): string | undefined {
  return FAILURES[errno]?.({ about: "", syscall: "", errno }).remedy;
}

/** A call of Node's to the system that nobody expected to fail, as a failure with a name; anything else as it is. */
export function namedFailure(error: unknown): unknown {
  if (error instanceof KmonteError || !(error instanceof Error)) return error;
  const { syscall, errno, about } = callOf(error);
  if (errno === undefined || syscall === undefined) return error;
  if (syscall === "uv_cwd") return failures.WORKING_DIRECTORY_GONE({ errno, cause: error });
  const { path } = error as NodeJS.ErrnoException;
  const what = `${about ?? syscall}${path === undefined ? "" : ` of ${path}`}`;
  return systemFailure({ about: what, syscall, errno, path, cause: error });
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

/** Numbers with a meaning that the compiler keeps apart. */
declare const brand: unique symbol;

type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** An address in a tracee's address space: never one of ours. */
export type RemoteAddress = Brand<number, "RemoteAddress">;

/** A process id or thread id as this process's pid namespace counts. */
export type Pid = number;

/**
 * The thread through which a process is asked what the kernel does not tell of an ended first thread: its first one that
 * lives (`sys/task.ts`).
 */
export type Task = Brand<number, "Task">;

/** A descriptor number in this process, as opposed to a number in a tracee's table. */
export type LocalFd = Brand<number, "LocalFd">;

export function remoteAddress(value: number): RemoteAddress {
  return value as RemoteAddress;
}

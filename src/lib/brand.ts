/** Numbers with a meaning that the compiler keeps apart. */
declare const brand: unique symbol;

type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** An address in a tracee's address space: never one of ours. */
export type RemoteAddress = Brand<number, "RemoteAddress">;

/** A process id or thread id as this process's pid namespace counts. */
export type Pid = number;

/** A descriptor number in this process, as opposed to a number in a tracee's table. */
export type LocalFd = Brand<number, "LocalFd">;

export function remoteAddress(value: number): RemoteAddress {
  return value as RemoteAddress;
}

/** What a kind of resource sees of a thaw: the set, and its processes and threads as they are built. */
import type { LocalFd, Pid } from "../lib/brand.ts";
import type { BuildScope } from "../tracee/build-scope.x86_64.ts";
import type { MountView } from "../sys/mount-view.ts";
import type { NamespaceType } from "../sys/namespaces.ts";
import type { Rights } from "../sys/identity.ts";
import type { UserState } from "./namespace/user.ts";
import type { Memo } from "./memo.ts";
import type { Phase } from "./phases.ts";
import type { ObjectState } from "./freeze-context.ts";

/** A file of the image, as it was before it was encrypted. */
export interface Blob extends Disposable {
  readonly size: number;
  /** Fills `into` from offset `at`; throws a Refusal when there is not as much. */
  read(into: Buffer, at: number): void;
  /** Its descriptor, when the bytes stand in the file as they are. */
  readonly plain: LocalFd | undefined;
}

/** The thawing side of the whole set. */
export interface ThawContext {
  /** The thawed form of a shared object, made at the first call. */
  object<H>(id: string): H;
  /** What a kind remembers for the time of this thaw; made when it is asked for first. */
  memo<T>(memo: Memo<T, ThawContext>): T;
  /** How an object stands in the image. */
  stateOf(id: string): ObjectState;
  /** Where the paths lead of what is thawed now. */
  readonly mounts: MountView;
  /** The same thaw, for what has paths of a mount namespace of the set, or of the machine for undefined. */
  in(place: string | undefined): ThawContext;
  /** A blob, open for reading; whoever opens it closes it. */
  openBlob(name: string): Blob;
  blob(name: string): Buffer;
  /** Something to run if the thaw fails later. Undone in reverse order. */
  undo(what: string, action: () => void): void;
  /** Descriptors of ours that are needed until the thaw has ended. */
  keep(fd: LocalFd): LocalFd;
  /** Our descriptor of an open file of the set, opened at the first call. */
  file(id: string): LocalFd;
  /**
   * Whose rights count for what is opened now: those at the freeze of all processes and threads that have it, without
   * doubles.
   */
  readonly holders: readonly Rights[];
  /** Notes a file system that was made for this thaw, filled from the image alone. */
  noteMade(device: string): void;
  /** Notes a file, folder or whatever that was just made under a name, with O_PATH or any other descriptor of it. */
  noteMadeFile(made: LocalFd): void;
  /** Whether it was made for this thaw, or its file system was: nobody else can have put it there. */
  isMadeHere(found: LocalFd): boolean;
  /** A process that is being built, if it is one of the set. It is blank when files are opened. */
  process(pid: Pid): (ThawProcess & { fetch(fd: number): LocalFd }) | undefined;
  /**
   * Lends `use` a process that stands for one that has ended, in the pid namespace of `relative`, with the `id` that it
   * had there if that is free; `use` gets its id as we see it. It ends when `use` returns.
   */
  standIn<T>(relative: Pid, id: number | undefined, use: (pid: Pid) => T): T;
  /** Something that a person should know, though it stops nothing. */
  note(text: string): void;
  readonly userNamespaces: UserNamespaces;
  /**
   * Something to do in a phase of the thaw, with the same rights and in the same network namespace as now. What is said
   * of a phase that is over is done in the one that runs, or in the next.
   */
  during(phase: Phase, action: () => void): void;
  /** Clocks of the frozen machine when the set was stopped, and of this one now: nanoseconds. */
  readonly clocks: ThawClocks;
  /** Nanoseconds that the processes' clocks have gone on since the freeze, while they were being built. */
  readonly lateness: bigint;
}

/** Making what belongs to a user namespace of the set, in which kmonte itself cannot be. */
export interface UserNamespaces {
  make(state: UserState): LocalFd;
  /** A new namespace that belongs to the user namespace `user`; `before` places the process that makes it. */
  owned(user: string | undefined, type: NamespaceType, before?: (pid: Pid) => void): LocalFd;
  /** A proc file system, not mounted yet, of the pid namespace that a process of the set lives in. */
  proc(pid: Pid, source: string, options: readonly string[]): LocalFd;
}

export interface ThawClocks {
  /** CLOCK_REALTIME at the freeze, in nanoseconds since the epoch. */
  readonly realtimeAtFreeze: bigint;
  /** As the frozen processes read them, their time namespace included. */
  readonly monotonicAtFreeze: bigint;
  readonly boottimeAtFreeze: bigint;
}

/** A process that is being built. */
export interface ThawProcess {
  readonly context: ThawContext;
  readonly pid: Pid;
  readonly command: string;
  readonly scope: BuildScope;
  /** Whether another process has the very same, and its state (clone(2)). */
  isBorrowed(share: "memory" | "files" | "filesystem" | "signalActions"): boolean;
  /** The id of a process or thread of the set as this process sees it (pid_namespaces(7)); 0 when it does not. */
  seen(id: Pid): number;
  /** Brings a descriptor of ours into the process, at `fd` there. */
  give(local: LocalFd, fd: number, closeOnExec: boolean): void;
  /** How many filters of system calls its threads were cloned with. */
  readonly filtersInCommon: number;
  /** Lends a descriptor of ours to the process for the time of `use`. */
  lend<T>(local: LocalFd, use: (fd: number) => T): T;
}

export interface ThawThread {
  readonly process: ThawProcess;
  readonly tid: Pid;
  readonly scope: BuildScope;
}

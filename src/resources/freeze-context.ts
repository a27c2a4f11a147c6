/** What a kind of resource sees of a freeze: the set, its processes and threads, and their open files. */
import type { LocalFd, Pid, Task } from "../lib/brand.ts";
import type { Refusal } from "../errors/failure.ts";
import type { Mapping } from "../proc/maps.ts";
import type { FdInfo } from "../proc/fdinfo.ts";
import type { Outside } from "../proc/outside.ts";
import type { ProcessStat } from "../proc/status.ts";
import type { RemoteScope } from "../tracee/scope.ts";
import type { MountView, OwnPath } from "../sys/mount-view.ts";
import type { FileStat } from "../sys/stat.ts";
import type { Identity } from "../sys/identity.ts";
import type { Memo } from "./memo.ts";
import type { ReadableFd } from "./file/readable.ts";

/** Bytes that go into a file of their own beside state.json. */
export type BlobSource =
  | { readonly bytes: Buffer }
  /** The contents of an open file from 0 to its end; holes stay holes. The descriptor must stay open until the end. */
  | { readonly fd: ReadableFd };

/** Something that passes by itself when the programs go on for a moment. */
export interface Settling extends Disposable {
  settled(): boolean;
}

/** How an object that files and mappings refer to together stands in the image. */
export interface ObjectState {
  readonly kind: string;
}

/** What the looking phase collects for the whole frozen set. */
export interface FreezeContext {
  /**
   * Nanoseconds since the clocks of the image were read. Clocks run on while we look: a time that remains now is
   * written with this added, as it was at that one moment.
   */
  readonly elapsed: bigint;
  /** The processes that are being frozen. */
  readonly pids: ReadonlySet<Pid>;
  /** Through which thread each of them is asked what the kernel does not tell of an ended first thread. */
  readonly tasks: ReadonlyMap<Pid, Task>;
  /** What a kind remembers for the time of this freeze; made when it is asked for first. */
  memo<T>(memo: Memo<T, FreezeContext>): T;
  /**
   * Notes an object that several files or mappings share, once; later calls with the same id make nothing. It belongs
   * to the place of this context.
   */
  object(id: string, make: () => ObjectState): string;
  /** Whether an object has been noted. */
  has(id: string): boolean;
  /** The mount namespace, if not ours, of the mount that a magic link of a process's leads to. */
  placeOf(task: Task, via: OwnPath): string | undefined;
  /** The mount namespace, if not ours, that what is looked at belongs to: a process, or an open file. */
  readonly place: string | undefined;
  /** Where its paths lead. */
  readonly mounts: MountView;
  /** The same freeze, for what has paths of a mount namespace of the set, or of ours for undefined. */
  in(place: string | undefined): FreezeContext;
  /** Puts bytes aside for the image; returns the name to keep in the state. */
  blob(name: string, source: BlobSource): string;
  /**
   * The ordinary user for whom it is frozen. What this user could not read through the descriptors of the set, or list,
   * is not read for it (`readable.ts`).
   */
  readonly user: Identity | undefined;
  /** Connections to processes of this machine that stay outside come back closed (`--close-external`). */
  readonly closeExternal: boolean;
  /** Whether the processes are to end when the image is complete. */
  readonly ends: boolean;
  /** What processes outside have open or mapped as well: to be looked at again, as it was seen before the set was stopped. */
  readonly outside: Outside;
  /** Something that a person should know, though it stops nothing. */
  note(text: string): void;
  /** Notes a refusal and goes on looking, so that the user sees all of them. */
  refuse(refusal: Refusal): void;
  /** Notes what passes by itself: where nothing else is in the way, it is begun, and the programs go on for a moment. */
  restless(begin: () => Settling): void;
  /** Keeps a descriptor of ours open until the freeze has ended. */
  keep(fd: LocalFd): LocalFd;
  /** All open file descriptions of the set, by the id that the descriptor tables use. */
  fileId(pid: Pid, fd: number): string | undefined;
  /** All open files found so far, with their ids. Every descriptor of the set is in it when files are frozen. */
  openFiles(): readonly (readonly [id: string, file: OpenFile])[];
  /**
   * Notes an open file that may have no descriptor in any process, because it is in flight (SCM_RIGHTS, unix(7));
   * returns its id. `local` is kept.
   */
  addInFlight(local: LocalFd, holder: OpenFile): string;
  /**
   * Something to do when the image is complete, right before the processes are ended. It returns how to take that
   * back, should they go on after all.
   */
  beforeKill(action: () => () => void): void;
  /** A pipe into which a line is written in the very step that ends the processes. */
  tellAtKill(pipe: LocalFd): void;
  /** Something to do as soon as the processes have ended. */
  afterKill(action: () => void): void;
  /** Something to do when the freeze has ended without ending the processes, or has failed. */
  atRelease(action: () => void): void;
}

/** A process that is being looked at: all its threads are stopped. */
export interface FreezeProcess {
  readonly context: FreezeContext;
  readonly pid: Pid;
  /** Its first thread that lives. */
  readonly task: Task;
  readonly command: string;
  readonly stat: ProcessStat;
  readonly status: ReadonlyMap<string, string>;
  readonly mappings: readonly Mapping[];
  /** Remote calls in the main thread (or another, if the main thread has ended). */
  readonly scope: RemoteScope;
}

/** One of its threads. */
export interface FreezeThread {
  /** When the relative sleep that the thread is in ends, on our CLOCK_MONOTONIC; undefined when nothing tells. */
  readonly sleepsUntil: bigint | undefined;
  readonly process: FreezeProcess;
  readonly tid: Pid;
  /** The same, or the first that lives where this one has ended. */
  readonly task: Task;
  readonly stat: ProcessStat;
  readonly status: ReadonlyMap<string, string>;
  readonly scope: RemoteScope;
}

/** An open file description, seen through one of the descriptors that lead to it. */
export interface OpenFile {
  readonly context: FreezeContext;
  readonly pid: Pid;
  /** Through which the process is asked about it. */
  readonly task: Task;
  readonly command: string;
  readonly fd: number;
  /** A duplicate in our own table: the same description. */
  readonly local: LocalFd;
  /** Where /proc/PID/fd/N leads. */
  readonly link: string;
  readonly stat: FileStat;
  readonly info: FdInfo;
}

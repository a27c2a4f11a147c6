/**
 * What every kind of resource agrees to. One kind is one file: the shape of its state, how it is frozen and how it
 * is thawed stand side by side. `registry.ts` lists the kinds and fixes their order.
 *
 * Freezing only looks: it changes nothing in the program or the kernel, and throws a {@link Refusal} for what it
 * cannot carry. Thawing builds under undo: whatever it makes goes away by itself if a later step fails.
 */
import type { GenericSchema } from "valibot";
import type { LocalFd, Pid, RemoteAddress } from "../lib/brand.ts";
import type { Refusal } from "../errors/failure.ts";
import type { Mapping } from "../proc/maps.ts";
import type { FdInfo } from "../proc/fdinfo.ts";
import type { Outside } from "../proc/outside.ts";
import type { ProcessStat } from "../proc/status.ts";
import type { BuildScope } from "../tracee/build-scope.x86_64.ts";
import type { RemoteScope, Row } from "../tracee/scope.ts";
import type { NamespaceType } from "../sys/namespaces.ts";
import type { FileStat } from "../sys/stat.ts";
import type { FileIdentity } from "../sys/file-identity.ts";
import type { Identity, Rights } from "../sys/identity.ts";
import type { UserState } from "./namespace/user.ts";
import type { Memo } from "./memo.ts";
import type { Phase } from "./phases.ts";
import type { NetworkNeed } from "./socket/quarantine/requirements.ts";
import type { Flow, QuarantinedPort } from "./socket/quarantine/rules.ts";
import type { ReadableFd } from "./file/readable.ts";

/** Bytes that go into a file of their own beside state.json. */
export type BlobSource =
  | { readonly bytes: Buffer }
  /** The contents of an open file from 0 to its end; holes stay holes. The descriptor must stay open until the end. */
  | { readonly fd: ReadableFd };

/** A file of the image, as it was before it was encrypted. */
export interface Blob extends Disposable {
  readonly size: number;
  /** Fills `into` from offset `at`; throws a {@link Refusal} when there is not as much. */
  read(into: Buffer, at: number): void;
  /** Its descriptor, when the bytes stand in the file as they are. */
  readonly plain: LocalFd | undefined;
}

/** Something that passes by itself when the programs go on for a moment. */
export interface Settling extends Disposable {
  settled(): boolean;
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
  /** What a kind remembers for the time of this freeze; made when it is asked for first. */
  memo<T>(memo: Memo<T, FreezeContext>): T;
  /** Notes an object that several files or mappings share, once; later calls with the same id make nothing. */
  object(id: string, make: () => ObjectState): string;
  /** Whether an object has been noted. */
  has(id: string): boolean;
  /** The mount namespace, if not ours, of the mount that a magic link of a process's leads to. */
  placeOf(pid: Pid, via: string): string | undefined;
  /** Runs `action` with paths of a mount namespace of the set, or of ours. */
  within<T>(place: string | undefined, action: () => T): T;
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
  readonly main: Pid;
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
  readonly stat: ProcessStat;
  readonly status: ReadonlyMap<string, string>;
  readonly scope: RemoteScope;
}

/** An open file description, seen through one of the descriptors that lead to it. */
export interface OpenFile {
  readonly context: FreezeContext;
  readonly pid: Pid;
  readonly command: string;
  readonly fd: number;
  /** A duplicate in our own table: the same description. */
  readonly local: LocalFd;
  /** Where /proc/PID/fd/N leads. */
  readonly link: string;
  readonly stat: FileStat;
  readonly info: FdInfo;
}

/** The thawing side of the whole set. */
export interface ThawContext {
  /** The thawed form of a shared object, made at the first call. */
  object<H>(id: string): H;
  /** What a kind remembers for the time of this thaw; made when it is asked for first. */
  memo<T>(memo: Memo<T, ThawContext>): T;
  /** How an object stands in the image. */
  stateOf(id: string): ObjectState;
  /** Runs `action` with paths as a mount namespace of the set has them; undefined stands for the machine's. */
  inPlace<T>(mounts: string | undefined, action: () => T): T;
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
   * Something to do in a phase of the thaw, with the same rights and in the same namespaces as now. What is said of a
   * phase that is over is done in the one that runs, or in the next.
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

/** System calls that a kind wants made in the program before it freezes; those of all kinds are made in one go. */
export interface Asks {
  /** Bytes that the calls write, from `at` on. */
  readonly bytes: number;
  /** The calls by names of the kind's choice, under which it finds their answers. */
  calls(at: RemoteAddress): Readonly<Record<string, Row>>;
}

/** What a kind's calls answered. */
export interface Answers {
  /** The result of a call, by its name; throws when the kernel refused it. */
  result(call: string): number;
  /** The result or the negated errno of a call that this kernel may refuse. */
  attempt(call: string): number;
  /** What the calls have written. */
  readonly bytes: Buffer;
}

/** Something that a kernel must have been built with. */
export interface KernelNeed {
  /** As Kconfig names it, CONFIG_…: built in or a module. */
  readonly option: string;
  /** The module's name, where there may be one. */
  readonly module?: string;
  /** What it is for, with the section of the manual. */
  readonly what: string;
}

/** A path that a thaw opens or makes something in. */
export type WantedPath =
  | {
      readonly path: string;
      /** Access mode of open(2), or O_PATH where it is only found. */
      readonly flags: number;
      /** Which file it was. */
      readonly identity?: FileIdentity | undefined;
      /** Of a device node: `major:minor`. */
      readonly device?: string | undefined;
    }
  /** Something is made in this folder, or in the nearest above it that there is. */
  | { readonly folder: string; readonly identity?: FileIdentity | undefined };

/** The set, for kinds that refer to objects. */
export interface PathsView {
  /** What is opened of an object, by its id, when it is opened with these flags. */
  pathsOf(object: string, flags: number): Iterable<WantedPath>;
}

/** The set as an ordinary user asks for it. */
export interface UserView extends PathsView {
  readonly user: Identity;
  /** The processes of the set. */
  readonly pids: ReadonlySet<number>;
  /** Whether the thread that is asked about can gain no rights any more (PR_SET_NO_NEW_PRIVS). */
  readonly noNewPrivs?: boolean;
}

interface Kind<S, N extends string> {
  /** The name under which the state stands in state.json. */
  readonly name: N;
  readonly schema: GenericSchema<S>;
  /** What a kernel must have for such a state to be thawed on it; nothing, when every Linux has it. */
  needs?(state: S): readonly KernelNeed[];
  /**
   * What an ordinary user may have of it: sentences that begin with "It" for what this user may not freeze or thaw, none
   * when the user may. A kind that does not say is not for users.
   */
  forUser?(state: S, view: UserView): Iterable<string>;
  /** The paths that a thaw opens or makes something in; `flags` are those of an open file, or what an object is opened with. */
  paths?(state: S, flags: number, view: PathsView): Iterable<WantedPath>;
}

/** Something that a process has one of: signal actions, credentials, limits … */
export interface ProcessResource<S, N extends string = string> extends Kind<S, N> {
  readonly asks?: Asks;
  /** What it belongs to, when processes can share that: it is thawed once for all of them. */
  readonly of?: "memory" | "files" | "filesystem" | "signalActions";
  freeze(process: FreezeProcess, answers: Answers): S;
  thaw(process: ThawProcess, state: S): void;
  /** Whether it is thawed as soon as the process exists, before anything is opened for it: it says where it lives. */
  readonly isPlace?: boolean;
  /** What no other call in the process would outlive: after all else, by `BuildScope.lastCall` alone. */
  lastCall?(process: ThawProcess, state: S): void;
}

/** Something that each thread has one of. */
export interface ThreadResource<S, N extends string = string> extends Kind<S, N> {
  readonly asks?: Asks;
  freeze(thread: FreezeThread, answers: Answers): S;
  thaw?(thread: ThawThread, state: S): void;
  /** What no other call in the thread would outlive: after all else, by `BuildScope.lastCall` alone. */
  lastCall?(thread: ThawThread, state: S): void;
  /** What no call at all would outlive, as each uses the registers: no more is made in this thread. */
  setRegisters?(thread: ThawThread, state: S): void;
}

/** What a process that holds a thawed file offers to the file's last touches. */
export interface FileHolder {
  readonly process: ThawProcess;
  readonly fd: number;
}

/** What a socket asks of the machine's network. */
export interface NetworkUse {
  /** What must be there before it can be made again, unless every machine has that. */
  readonly need: NetworkNeed | undefined;
  /** The nftables table that drops what others send to it until the thaw, and what it drops. */
  readonly quarantine?:
    | { readonly table: string; readonly flow?: Flow | undefined; readonly port?: QuarantinedPort | undefined }
    | undefined;
}

/** A kind of open file. */
export interface FileKind<S, N extends string = string> extends Kind<S, N> {
  /** Whether a file is of this kind. The first kind in the registry that says yes takes it. */
  recognise(file: OpenFile): boolean;
  freeze(file: OpenFile): S;
  /**
   * Opens the file in this process and returns our descriptor. `flags` are those of the open file description; status
   * flags, position and owner are set by the caller afterwards.
   */
  thaw(state: S, context: ThawContext, flags: number): LocalFd;
  /** Whether it can be opened only when all threads exist; its holders get it then. */
  needsThreads?(state: S): boolean;
  /** Ids of the files that `attach` needs opened. */
  attachesTo?(state: S): readonly string[];
  /** What it asks of the machine's network, where it is in no network namespace of the set's own; nothing, as a rule. */
  network?(state: S): NetworkUse;
  /** What stands in the way of opening it here, asked before anything is made. */
  check?(state: S): Refusal | undefined;
  /** Whether it is of the machine itself, so that it can be asked before namespaces of the set are made. */
  ofMachine?(state: S): boolean;
  /** What needs a process that holds the file, once all processes have their descriptors. */
  attach?(state: S, holder: FileHolder, local: LocalFd): void;
}

/** Something that files and mappings refer to together: a file's contents, a pipe … */
export interface ObjectKind<S, H, N extends string = string> extends Kind<S, N> {
  /**
   * Whether it is found by a path in the mount namespace in which it was seen first, and thawed there; so it is unless
   * this says otherwise. Namespaces have no path, and the file systems of a mount namespace come before it.
   */
  readonly hasPath?: false;
  /** What stands in the way of making it here, asked before anything is made. */
  check?(state: S, image: Pick<ThawContext, "openBlob">): Refusal | readonly Refusal[] | undefined;
  /** Makes the object in this process; the handle is what files and mappings of it are thawed from. */
  thaw(state: S, context: ThawContext): H;
}

export interface ObjectState {
  readonly kind: string;
}

/**
 * What every kind of resource agrees to. One kind is one file: the shape of its state, how it is frozen and how it
 * is thawed stand side by side. `registry.ts` lists the kinds and fixes their order.
 *
 * Freezing only looks: it changes nothing in the program or the kernel, and throws a {@link Refusal} for what it
 * cannot carry. Thawing builds under undo: whatever it makes goes away by itself if a later step fails.
 */
import type { GenericSchema } from "valibot";
import type { LocalFd, RemoteAddress } from "../lib/brand.ts";
import type { Row } from "../tracee/scope.ts";
import type { Refusal } from "../errors/failure.ts";
import type { FileIdentity } from "../sys/file-identity.ts";
import type { Identity } from "../sys/identity.ts";
import type { Difference, KernelNeed } from "./conditions.ts";
import type { NetworkNeed } from "./socket/quarantine/requirements.ts";
import type { Flow, QuarantinedPort } from "./socket/quarantine/rules.ts";
import type { FreezeProcess, FreezeThread, OpenFile } from "./freeze-context.ts";
import type { ThawContext, ThawProcess, ThawThread } from "./thaw-context.ts";

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
  /** What of it is not as it was after a thaw; nothing, as a rule. */
  readonly differs?: readonly Difference<S>[];
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

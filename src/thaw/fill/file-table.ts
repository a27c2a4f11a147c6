/** Opening the set's files in this process and handing them out. */
import { call } from "../../sys/call.ts";
import { F, O, OPEN_STATUS, O_ACCMODE, SEEK } from "../../abi/fcntl.ts";
import { atHome, within } from "../../sys/namespaces.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { parseFlags } from "../../lib/flags.ts";
import type { FrozenFile, FrozenState } from "../../image/schema.ts";
import type { FileHolder } from "../../resources/contract.ts";
import { thawLocks } from "../../resources/file/locks.ts";
import { setOwner } from "../../resources/file/signal-owner.ts";
import type { NamespaceHandle } from "../../resources/namespace/handle.ts";
import { fileKinds } from "../../resources/registry.ts";
import type { Thawing } from "../context.ts";
import type { BuiltProcess } from "./process.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";
import { encoded } from "../verify/consistency.ts";

/** Status flags that F_SETFL can change (fcntl(2)). */
const SETTABLE = O.O_APPEND | O.O_NONBLOCK | O.O_DIRECT | O.O_NOATIME;

export class ThawedFiles {
  readonly #context: Thawing;
  readonly #files: FrozenState["files"];
  readonly #local = new Map<string, LocalFd>();

  constructor(context: Thawing, files: FrozenState["files"]) {
    this.#context = context;
    this.#files = files;
    context.openFile = (id) => this.#localOf(id);
  }

  /** Opens every file description once. */
  openAll(): void {
    for (const [id, file] of Object.entries(this.#files)) if (!needsThreads(file)) this.#localOf(id);
    this.#context.run("establish", "fill", "connect", "close");
  }

  #open(file: FrozenFile): LocalFd {
    const kind = kindOf(file);
    const flags = parseFlags(OPEN_STATUS, file.flags);
    const fd = this.#context.keep(encoded(file.kind, () => kind.thaw(file.state, this.#context.in(file.mnt), flags)));
    if ((flags & O.O_PATH) !== 0) return fd;
    const now = call("fcntl", "Asking for the flags of a file", fd, F.F_GETFL, 0);
    if ((now & SETTABLE) !== (flags & SETTABLE)) {
      call("fcntl", "Setting the flags of a file", fd, F.F_SETFL, flags & (SETTABLE | O_ACCMODE));
    }
    if (file.position !== "0") seek(fd, BigInt(file.position));
    return fd;
  }

  /** Puts a process's descriptors into its table. */
  handOut(process: BuiltProcess): void {
    for (const { fd, file, closeOnExec } of process.body.descriptors) {
      if (!needsThreads(this.#files[file])) process.give(this.#localOf(file), fd, closeOnExec);
    }
  }

  /** What could not be opened before the threads stood. */
  handOutThoseOfThreads(processes: readonly BuiltProcess[]): void {
    for (const process of processes) {
      for (const { fd, file, closeOnExec } of process.body.descriptors) {
        if (needsThreads(this.#files[file])) process.give(this.#localOf(file), fd, closeOnExec);
      }
    }
  }

  /** What needs the processes and their descriptors to be there: epoll sets, owners of signals. */
  attach(processes: readonly BuiltProcess[]): void {
    this.#attach(processes, (file) => !this.#attachesWithThreads(file));
  }

  /** That of files which could not be opened before the threads stood, and of those that watch them. */
  attachThoseOfThreads(processes: readonly BuiltProcess[]): void {
    this.#attach(processes, (file) => this.#attachesWithThreads(file));
  }

  #attachesWithThreads(file: FrozenFile): boolean {
    return (
      needsThreads(file) ||
      (kindOf(file).attachesTo?.(file.state) ?? []).some((id: string) => needsThreads(this.#files[id]))
    );
  }

  #attach(processes: readonly BuiltProcess[], now: (file: FrozenFile) => boolean): void {
    for (const [id, file] of Object.entries(this.#files)) {
      if (!now(file)) continue;
      const local = this.#localOf(id);
      if (file.signalOwner) setOwner(local, file.signalOwner);
      const { attach } = kindOf(file);
      const signals = (parseFlags(OPEN_STATUS, file.flags) & O.O_ASYNC) !== 0;
      if (!attach && !signals && !file.locks) continue;
      const holder = holderOf(id, processes);
      if (file.locks) thawLocks(local, file.locks, this.#context, holder);
      if (!holder) continue;
      this.#context.openFor(id, () => this.#inNetwork(file, () => attach?.(file.state, holder, local)));
      if (signals) setAsync(holder);
    }
  }

  /** Sockets are made in the network namespace that they belong to. */
  #inNetwork<T>(file: FrozenFile, action: () => T): T {
    if (file.net === undefined) return atHome(action);
    return within("net", this.#context.object<NamespaceHandle>(file.net).fd, action);
  }

  #localOf(id: string): LocalFd {
    const known = this.#local.get(id);
    if (known !== undefined) return known;
    const file = this.#files[id];
    if (!file) throw new InconsistentImage(`the image has no file ${id}`);
    const local = this.#context.openFor(id, () => this.#inNetwork(file, () => this.#open(file)));
    this.#local.set(id, local);
    return local;
  }
}

/** By the process itself: SIGIO tells the number of the descriptor through which O_ASYNC was set. */
function setAsync({ process: { scope, pid }, fd }: FileHolder): void {
  const about = `Making descriptor ${fd} of process ${pid} send signals`;
  const flags = scope.call("fcntl", about, fd, F.F_GETFL, 0);
  scope.call("fcntl", about, fd, F.F_SETFL, flags | O.O_ASYNC);
}

/** In two steps, each a number that JavaScript has: positions in directories use all 63 bits. */
function seek(fd: LocalFd, position: bigint): void {
  const high = position & ~0xffff_ffffn;
  call("lseek", "Setting the position of a file", fd, Number(high), SEEK.SEEK_SET);
  if (position !== high) call("lseek", "Setting the position of a file", fd, Number(position - high), SEEK.SEEK_CUR);
}

/** The first process that has the file, and its first descriptor of it. */
function holderOf(id: string, processes: readonly BuiltProcess[]): FileHolder | undefined {
  for (const process of processes) {
    const held = process.body.descriptors.find((descriptor) => descriptor.file === id);
    if (held) return { process, fd: held.fd };
  }
  return undefined;
}

function needsThreads(file: FrozenFile | undefined): boolean {
  return file !== undefined && kindOf(file).needsThreads?.(file.state) === true;
}

function kindOf(file: FrozenFile): (typeof fileKinds)[number] {
  const kind = fileKinds.find((candidate) => candidate.name === file.kind);
  if (!kind) throw new InconsistentImage(`unknown kind of file ${file.kind}`);
  return kind;
}

/** Opening the set's files in this process and handing them out. */
import { call } from "../abi/call.ts";
import { F, O, O_ACCMODE, OPEN_STATUS } from "../abi/fcntl.ts";
import { atHome, within } from "../abi/namespaces.ts";
import type { LocalFd } from "../lib/brand.ts";
import { parseFlags } from "../lib/flags.ts";
import type { FrozenFile, FrozenState } from "../image/schema.ts";
import { thawLocks } from "../resources/files/locks.ts";
import { setOwner } from "../resources/files/owner.ts";
import type { NamespaceHandle } from "../resources/namespaces/handle.ts";
import { fileKinds } from "../resources/registry.ts";
import type { Thawing } from "./context.ts";
import type { BuiltProcess } from "./process.ts";

/** Status flags that F_SETFL can change (fcntl(2)). */
const SETTABLE = O.O_APPEND | O.O_NONBLOCK | O.O_DIRECT | O.O_NOATIME;
const SEEK_SET = 0;
const SEEK_CUR = 1;

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
    for (const id of Object.keys(this.#files)) this.#localOf(id);
    this.#context.runWhenOpen();
  }

  #open(file: FrozenFile): LocalFd {
    const kind = kindOf(file);
    const flags = parseFlags(OPEN_STATUS, file.flags);
    const fd = this.#context.keep(kind.thaw(file.state, this.#context, flags));
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
    for (const { fd, file, closeOnExec } of process.body.descriptors)
      process.give(this.#localOf(file), fd, closeOnExec);
  }

  /** What needs the processes and their descriptors to be there: epoll sets, owners of signals. */
  settle(processes: readonly BuiltProcess[]): void {
    for (const [id, file] of Object.entries(this.#files)) {
      const local = this.#localOf(id);
      if (file.owner) setOwner(local, file.owner);
      if (file.locks) thawLocks(local, file.locks, this.#context);
      const { settle } = kindOf(file);
      const signals = (parseFlags(OPEN_STATUS, file.flags) & O.O_ASYNC) !== 0;
      if (!settle && !signals) continue;
      for (const process of processes) {
        const held = process.body.descriptors.find((descriptor) => descriptor.file === id);
        if (!held) continue;
        this.#inPlace(file, () => settle?.(file.state, { process, fd: held.fd }, local));
        if (signals) setAsync(process, held.fd);
        break;
      }
    }
  }

  /** Sockets are made in the network namespace that they belong to, files found in their mount namespace. */
  #inPlace<T>(file: FrozenFile, action: () => T): T {
    const act = (): T => this.#context.inPlace(file.mnt, action);
    if (file.net === undefined) return atHome(act);
    return within("net", this.#context.object<NamespaceHandle>(file.net).fd, act);
  }

  #localOf(id: string): LocalFd {
    const known = this.#local.get(id);
    if (known !== undefined) return known;
    const file = this.#files[id];
    if (!file) throw new RangeError(`the image has no file ${id}`);
    const local = this.#inPlace(file, () => this.#open(file));
    this.#local.set(id, local);
    return local;
  }
}

/** By the process itself: SIGIO tells the number of the descriptor through which O_ASYNC was set. */
function setAsync({ scope, pid }: BuiltProcess, fd: number): void {
  const about = `Making descriptor ${fd} of process ${pid} send signals`;
  const flags = scope.call("fcntl", about, fd, F.F_GETFL, 0);
  scope.call("fcntl", about, fd, F.F_SETFL, flags | O.O_ASYNC);
}

/** In two steps, each a number that JavaScript has: positions in directories use all 63 bits. */
function seek(fd: LocalFd, position: bigint): void {
  const high = position & ~0xffff_ffffn;
  call("lseek", "Setting the position of a file", fd, Number(high), SEEK_SET);
  if (position !== high) call("lseek", "Setting the position of a file", fd, Number(position - high), SEEK_CUR);
}

function kindOf(file: FrozenFile): (typeof fileKinds)[number] {
  const kind = fileKinds.find((candidate) => candidate.name === file.kind);
  if (!kind) throw new RangeError(`unknown kind of file ${file.kind}`);
  return kind;
}

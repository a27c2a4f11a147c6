/** The open files of the set: which descriptors share one open file description, and what kind each is. */
import { closeSync } from "node:fs";
import { readFileSync, readdirSync, readlinkSync } from "../../sys/files.ts";
import { call } from "../../sys/call.ts";
import { compareTasks, livingThread, openTask, procPath } from "../../sys/task.ts";
import { KCMP, O, OPEN_STATUS } from "../../abi/fcntl.ts";
import { TUN } from "../../abi/tun.ts";
import { S_IF } from "../../abi/stat.ts";
import { type FileStat, fstat, stat } from "../../sys/stat.ts";
import type { LocalFd, Task } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { networkHere, openSocketNamespace, socketNamespace, within } from "../../sys/namespaces.ts";
import { formatFlags } from "../../lib/flags.ts";
import { errnoOf } from "../../lib/no-such-file.ts";
import type { FrozenDescriptor, FrozenFile } from "../../image/schema.ts";
import { fdInfoValue, parseFdInfo, type FdInfo } from "../../proc/fdinfo.ts";
import type { FreezeContext, OpenFile } from "../../resources/freeze-context.ts";
import { freezeLocks } from "../../resources/file/locks.ts";
import { readOwner } from "../../resources/file/signal-owner.ts";
import { namespaceObject } from "../../resources/namespace/own.ts";
import { fileKinds } from "../../resources/registry.ts";
import type { MountViews } from "./mount-views.ts";

interface Seen {
  readonly id: string;
  readonly file: OpenFile;
}

type Holder = Pick<OpenFile, "pid" | "task" | "command">;

/** Collects the descriptors of all processes of the set. */
export class FileTable {
  readonly #context: FreezeContext;
  /** Files that could be the same, by device, inode and flags; kcmp(2) tells. */
  readonly #seen = new Map<string, Seen[]>();
  readonly #ids = new Map<string, string>();
  readonly #order: Seen[] = [];

  readonly #places: MountViews;

  constructor(context: FreezeContext, places: MountViews) {
    this.#context = context;
    this.#places = places;
  }

  /** Notes all descriptors of a process. What they lead to is looked into later, by {@link freezeFiles}. */
  addProcess(pid: number, task: Task, command: string): FrozenDescriptor[] {
    const pidfd = openTask(task);
    try {
      return readdirSync(procPath(task, "fd"))
        .map(Number)
        .sort((a, b) => a - b)
        .map((fd) => this.#addDescriptor(pidfd, { pid, task, command }, fd));
    } catch (error) {
      throw errnoOf(error) === "EMFILE" ? failures.OPEN_FILES_LIMIT.look({ pid, command, cause: error }) : error;
    } finally {
      closeSync(pidfd);
    }
  }

  #addDescriptor(pidfd: number, holder: Holder, fd: number): FrozenDescriptor {
    const { pid, task } = holder;
    const local = call("pidfd_getfd", `Duplicating descriptor ${fd} of process ${pid}`, pidfd, fd, 0) as LocalFd;
    const info = parseFdInfo(readFileSync(procPath(task, `fdinfo/${fd}`), "utf8"));
    const link = readlinkSync(procPath(task, `fd/${fd}`));
    const file = this.#openFile({ ...holder, fd, local, link, stat: statOf(local, link, info), info });
    const before = this.#order.length;
    const id = this.#identify(file);
    this.#ids.set(`${pid}:${fd}`, id);
    // One duplicate of each open file description is enough.
    if (this.#order.length > before) this.#context.keep(local);
    else closeSync(local);
    return { fd, file: id, closeOnExec: (info.flags & O.O_CLOEXEC) !== 0 };
  }

  #identify(file: OpenFile): string {
    const key = `${file.stat.device}:${file.stat.inode}:${file.info.flags & ~O.O_CLOEXEC}`;
    const candidates = this.#seen.get(key) ?? [];
    for (const seen of candidates) {
      if (compareTasks(file.task, seen.file.task, KCMP.FILE, file.fd, seen.file.fd) === 0) return seen.id;
    }
    const seen = { id: `f${this.#order.length + 1}`, file };
    this.#seen.set(key, [...candidates, seen]);
    this.#order.push(seen);
    return seen.id;
  }

  /** An open file that a duplicate of ours leads to; kcmp(2) compares with our own table as with any other. */
  addLocal(local: LocalFd, holder: OpenFile): string {
    const info = parseFdInfo(readFileSync(`/proc/self/fdinfo/${local}`, "utf8"));
    const link = readlinkSync(`/proc/self/fd/${local}`);
    const { command } = holder;
    const ours = { pid: process.pid, task: livingThread(process.pid), fd: local, local };
    return this.#identify(this.#openFile({ ...ours, command, link, stat: fstat(local), info }));
  }

  #openFile(facts: Omit<OpenFile, "context">): OpenFile {
    const contextOf = (): FreezeContext => this.#contextOf(facts);
    return {
      ...facts,
      get context() {
        return contextOf();
      },
    };
  }

  readonly #contexts = new Map<LocalFd, FreezeContext>();

  /** The context of the place that a file's path belongs to. That is final when all processes have been looked at. */
  #contextOf({ task, link, info, local }: Omit<OpenFile, "context">): FreezeContext {
    const known = this.#contexts.get(local);
    if (known) return known;
    // What is no file of a path has a mount of the kernel's own.
    const place = link.startsWith("/") ? this.#places.nameAt(task, info.mountId) : this.#places.nameOf(task);
    const context = this.#context.in(place);
    if (this.#isComplete) this.#contexts.set(local, context);
    return context;
  }

  #isComplete = false;

  get all(): readonly (readonly [id: string, file: OpenFile])[] {
    return this.#order.map(({ id, file }) => [id, file]);
  }

  idOf(pid: number, fd: number): string | undefined {
    return this.#ids.get(`${pid}:${fd}`);
  }

  /** Looks into every open file once. */
  freezeFiles(): Record<string, FrozenFile> {
    this.#isComplete = true;
    const files: Record<string, FrozenFile> = {};
    for (const { id, file } of this.#order) {
      try {
        const { place } = file.context;
        files[id] = { ...freezeInPlace(file), ...(place !== undefined && { mnt: place }) };
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        this.#context.refuse(error);
      }
    }
    return files;
  }
}

/** A socket is looked at from inside the network namespace that it was made in. */
function freezeInPlace(file: OpenFile): FrozenFile {
  const name =
    file.stat.type === S_IF.S_IFSOCK || file.stat.deviceNode === TUN ? socketNamespace(file.local) : undefined;
  const network = name === networkHere() ? undefined : openSocketNamespace(file.local);
  if (name === undefined || network === undefined) return freezeFile(file);
  file.context.keep(network);
  const net = namespaceObject(file, "net", network);
  return { ...within("net", network, () => freezeFile(file)), net };
}

function freezeFile(file: OpenFile): FrozenFile {
  const kind = fileKinds.find((candidate) => candidate.recognise(file));
  if (!kind) {
    throw failures.FILE_KIND({ file });
  }
  const owner = readOwner(file.local);
  const locks = freezeLocks(file);
  return {
    kind: kind.name,
    flags: formatFlags(OPEN_STATUS, file.info.flags & ~O.O_CLOEXEC),
    position: String(file.info.pos),
    ...(owner && { signalOwner: owner }),
    ...(locks.length > 0 && { locks }),
    state: kind.freeze(file) as unknown,
  };
}

/** Files of /proc whose process has ended answer fstat(2) with ENOENT, though they are open. */
function statOf(local: LocalFd, link: string, info: FdInfo): FileStat {
  try {
    return fstat(local);
  } catch (error) {
    if (!link.startsWith("/proc/")) throw error;
    const inode = BigInt(fdInfoValue(info, "ino") ?? "0");
    const type = (info.flags & O.O_DIRECTORY) === 0 ? S_IF.S_IFREG : S_IF.S_IFDIR;
    return { ...stat("/proc"), inode, type, links: 0 };
  }
}

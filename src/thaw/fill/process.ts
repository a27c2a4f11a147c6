/** One process under construction, as the kinds of resource see it. */
import { livingThread, openTask } from "../../sys/task.ts";
import { closeSync } from "node:fs";
import { call } from "../../sys/call.ts";
import { F, O } from "../../abi/fcntl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { Share } from "../../image/clone-plan.ts";
import type { FrozenBody, FrozenProcess } from "../../image/schema.ts";
import type { ThawContext, ThawProcess } from "../../resources/thaw-context.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import type { Thawing } from "../context.ts";
import type { FdChannel } from "./fd-channel.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";

export class BuiltProcess implements ThawProcess {
  /** The thaw that it is part of. */
  readonly thaw: Thawing;
  /** The same with its paths. */
  readonly context: ThawContext;
  readonly pid: number;
  readonly command: string;
  readonly scope: BuildScope;
  readonly state: FrozenProcess;
  readonly parent: BuiltProcess | undefined;
  /** How descriptors of ours come into the process. Shared as its files are. */
  readonly channel: FdChannel;
  /** The states of its threads by their ids: there may be thousands. */
  readonly threadStates: ReadonlyMap<number, Record<string, unknown>>;
  filtersInCommon = 0;
  /** Whether it has gone to where it lives. */
  begun = false;

  constructor(
    thaw: Thawing,
    state: FrozenProcess,
    scope: BuildScope,
    parent: BuiltProcess | undefined,
    channel: FdChannel,
  ) {
    this.thaw = thaw;
    this.context = thaw.in(state.body?.resources.namespaces.mnt);
    this.state = state;
    this.pid = state.pid;
    this.command = state.command;
    this.scope = scope;
    this.parent = parent;
    this.channel = channel;
    this.threadStates = new Map(state.body?.threads.map((thread) => [thread.tid, thread]));
  }

  get body(): FrozenBody {
    if (!this.state.body) throw new InconsistentImage(`process ${this.pid} is a zombie`);
    return this.state.body;
  }

  seen(id: number): number {
    const level = this.state.pidNamespace?.pids.length ?? 0;
    return level === 0 ? id : (this.thaw.idsInside(id)[level - 1] ?? 0);
  }

  /** Whether another process, made before, has the same and takes care of it. */
  isBorrowed(share: Share): boolean {
    const owner = this.state.shares?.[share];
    return owner !== undefined && owner !== this.pid;
  }

  /** The user namespace that it lives in, when it is one of the set's own. */
  get user(): string | undefined {
    return this.body.resources.namespaces.user;
  }

  /** Moves its descriptors out of the way of the descriptors to come. */
  moveChannel(): void {
    this.channel.moveAside(this.scope, new Set(this.body.descriptors.map(({ fd }) => fd)));
  }

  /** Brings a descriptor of the process to us. */
  fetch(fd: number): LocalFd {
    const pidfd = openTask(livingThread(this.pid));
    try {
      return call("pidfd_getfd", `Fetching descriptor ${fd} of process ${this.pid}`, pidfd, fd, 0) as LocalFd;
    } finally {
      closeSync(pidfd);
    }
  }

  closeChannel(): void {
    this.channel.close(this.scope);
  }

  give(local: LocalFd, fd: number, closeOnExec: boolean): void {
    const about = `Giving descriptor ${fd} to process ${this.pid}`;
    const fetched = this.channel.fetch(this.scope, local, about);
    if (fetched !== fd) {
      this.scope.call("dup3", about, fetched, fd, closeOnExec ? O.O_CLOEXEC : 0);
      this.scope.call("close", about, fetched);
    } else if (!closeOnExec) {
      // pidfd_getfd(2) sets close-on-exec.
      this.scope.call("fcntl", about, fd, F.F_SETFD, 0);
    }
  }

  lend<T>(local: LocalFd, use: (fd: number) => T): T {
    const about = `Lending a descriptor to process ${this.pid}`;
    const fetched = this.channel.fetch(this.scope, local, about);
    try {
      return use(fetched);
    } finally {
      this.scope.attempt("close", fetched);
    }
  }
}

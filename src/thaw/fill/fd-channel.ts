/**
 * How descriptors come into a process that is being built: it fetches them from kmonte itself through a pidfd
 * (pidfd_getfd(2)). Who lives in a user namespace below ours may not do that, and gets them sent (SCM_RIGHTS, unix(7)).
 */
import { closeSync } from "node:fs";
import { call, withStruct } from "../../sys/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import { F } from "../../abi/fcntl.ts";
import { rightsMessage } from "../../abi/message.ts";
import { send } from "../../sys/message.ts";
import { AF, MSG } from "../../abi/socket.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { BuildScope } from "../../tracee/build-scope.x86_64.ts";
import { SCRATCH_SIZE } from "../../tracee/scope.ts";
import type { Thawing } from "../context.ts";
import { Defect } from "../../errors/wrong-input.ts";

const SOCK_DGRAM_CLOEXEC = 0o2000002;
/** struct msghdr, an iovec, one byte, a control message with one descriptor: at the end of scratch memory. */
const MESSAGE_SIZE = 128;
const IOVEC = 56;
const BYTE = 72;
const CONTROL = 80;
const CONTROL_SIZE = 24;
const CONTROL_DATA = 16;

/** The descriptors of a process that lead to kmonte, by their numbers there. */
export class FdChannel {
  #pidfd: number;
  #channel: number | undefined;
  /** Our end of the channel. */
  readonly #local: LocalFd | undefined;

  private constructor(pidfd: number, channel: number | undefined, local: LocalFd | undefined) {
    this.#pidfd = pidfd;
    this.#channel = channel;
    this.#local = local;
  }

  /** Makes the channel of the first blank process; all others are cloned with it. */
  static open(context: Thawing, scope: BuildScope, withChannel: boolean): FdChannel {
    const pidfd = scope.call("pidfd_open", "Reaching back to kmonte", process.pid, 0);
    if (!withChannel) return new FdChannel(pidfd, undefined, undefined);
    const [near, far] = socketPair();
    context.keep(near);
    const channel = scope.call("pidfd_getfd", "Opening a channel to kmonte", pidfd, far, 0);
    closeSync(far);
    return new FdChannel(pidfd, channel, near);
  }

  /** The channel of a process that was cloned from one with this. */
  copy(): FdChannel {
    return new FdChannel(this.#pidfd, this.#channel, this.#local);
  }

  /** Brings a descriptor of ours into the process; returns its number there. It is closed on exec. */
  fetch(scope: BuildScope, local: LocalFd, about: string): number {
    if (scope.user === undefined) return scope.call("pidfd_getfd", about, this.#pidfd, local, 0);
    if (this.#local === undefined || this.#channel === undefined) throw new Defect("there is no channel");
    send(this.#local, Buffer.from("."), [rightsMessage([local])], undefined, about);
    return receive(scope, this.#channel, about);
  }

  /** Moves its descriptors out of the way of these descriptors. */
  moveAside(scope: BuildScope, taken: ReadonlySet<number>): void {
    const highest = [...taken].reduce((most, fd) => Math.max(most, fd), -1);
    const move = (fd: number): number => {
      if (fd > highest) return fd;
      const moved = duplicate(scope, fd, highest, taken);
      scope.call("close", "Closing a descriptor of ours", fd);
      return moved;
    };
    this.#pidfd = move(this.#pidfd);
    if (this.#channel !== undefined) this.#channel = move(this.#channel);
  }

  close(scope: BuildScope): void {
    scope.call("close", "Closing a descriptor of ours", this.#pidfd);
    if (this.#channel !== undefined) scope.call("close", "Closing a descriptor of ours", this.#channel);
  }
}

/** Above all others, or where the highest is the last number that there may be (RLIMIT_NOFILE) in a gap below it. */
function duplicate(scope: BuildScope, fd: number, highest: number, taken: ReadonlySet<number>): number {
  const above = scope.attempt("fcntl", fd, F.F_DUPFD_CLOEXEC, highest + 1);
  if (above !== -ERRNO.EINVAL && above !== -ERRNO.EMFILE) return above;
  for (let wanted = highest - 1; wanted >= 0; wanted -= 1) {
    if (taken.has(wanted) || wanted === fd) continue;
    const moved = scope.attempt("fcntl", fd, F.F_DUPFD_CLOEXEC, wanted);
    if (moved === wanted) return moved;
    if (moved >= 0) scope.call("close", "Closing a descriptor of ours", moved);
  }
  return scope.call("fcntl", "Moving a descriptor of ours", fd, F.F_DUPFD_CLOEXEC, highest + 1);
}

function socketPair(): [LocalFd, LocalFd] {
  return withStruct(8, (bytes, address) => {
    call("socketpair", "Making a channel", AF.AF_UNIX, SOCK_DGRAM_CLOEXEC, 0, address);
    return [bytes.readInt32LE(0) as LocalFd, bytes.readInt32LE(4) as LocalFd];
  });
}

/** recvmsg(2) in the process, of one byte and one descriptor. */
function receive(scope: BuildScope, channel: number, about: string): number {
  const offset = SCRATCH_SIZE - MESSAGE_SIZE;
  const at = scope.scratch + offset;
  const message = Buffer.alloc(MESSAGE_SIZE);
  const words: readonly [number, number][] = [
    [16, at + IOVEC],
    [24, 1],
    [32, at + CONTROL],
    [40, CONTROL_SIZE],
    [IOVEC, at + BYTE],
    [IOVEC + 8, 1],
  ];
  for (const [where, word] of words) message.writeBigUInt64LE(BigInt(word), where);
  scope.put(message, offset);
  scope.call("recvmsg", about, channel, at, MSG.MSG_CMSG_CLOEXEC | MSG.MSG_DONTWAIT);
  return scope.take(4, offset + CONTROL + CONTROL_DATA).readInt32LE(0);
}

/** A pseudo-terminal whose master side is in the set (pty(7)): number, modes, window size. */
import { existsSync } from "../../sys/files.ts";
import { pollNow } from "../../sys/poll.ts";
import { POLL } from "../../abi/poll.ts";
import { closeSync } from "node:fs";
import { dirname, join } from "node:path";
import * as v from "valibot";
import { call } from "../../sys/call.ts";
import { F, O } from "../../abi/fcntl.ts";
import { isForUser } from "../../sys/identity.ts";
import type { MountView, ReachedPath } from "../../sys/mount-view.ts";
import { DEVPTS_SUPER_MAGIC } from "../../abi/stat.ts";
import { type FileStat, fileSystemOf, fstat, stat } from "../../sys/stat.ts";
import { PTMX, TERMIOS2_SIZE, TTY, WINSIZE_SIZE, ptyIndex } from "../../abi/tty.ts";
import { ttyGet, ttyGetInt, ttyQueued, ttySet, ttySetInt } from "../../sys/tty.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import type { FreezeContext, OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import { ownOpen } from "../file/unlinked-special.ts";
import { holdersOf } from "../pipe/outside.ts";
import { openCanonical, openPath } from "../file/path-file.ts";
import { notReadable, reads } from "../file/readable.ts";
import { fillQueue, peekQueue, ptyQueueSchema, type PtyQueue } from "./pty-queue.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const base64 = v.pipe(v.string(), v.base64());
const schema = v.strictObject({
  kind: v.literal("pty"),
  /** The N of /dev/pts/N. */
  index: v.number(),
  /** Struct termios2 and struct winsize of the slave side. */
  termios: base64,
  winsize: base64,
  locked: v.boolean(),
  packetMode: v.boolean(),
  exclusive: v.boolean(),
  /** The same of the slave side. */
  exclusiveSlave: v.optional(v.literal(true)),
  /** The slave side was open once, and is not now. */
  hungUp: v.boolean(),
  ...ptyQueueSchema,
  /** Of the node in /dev/pts. */
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
});
type PtyState = v.InferOutput<typeof schema>;

export interface PtyHandle {
  readonly master: LocalFd;
  openSlave(flags: number): LocalFd;
}

/** Numbers below the wanted one that are held for a moment while it is asked for. */
const MOST_TRIES = 4096;

/** The master side with this number, if the set has it; `device` is the file system that shows the slave side. */
export function findMaster(context: FreezeContext, index: number, device?: string): OpenFile | undefined {
  return context
    .openFiles()
    .find(
      ([, file]) =>
        file.stat.deviceNode === PTMX &&
        (file.info.flags & O.O_PATH) === 0 &&
        ttyGetInt(file.local, TTY.TIOCGPTN) === index &&
        (device === undefined || instanceOf(file) === device),
    )?.[1];
}

/** The file system devpts that a master side belongs to: each has numbers of its own (newinstance). */
function instanceOf(file: OpenFile): string {
  if (fileSystemOf(file.local) === DEVPTS_SUPER_MAGIC) return file.stat.device;
  const folder = join(dirname(file.link), "pts");
  // A node of its own, /dev/ptmx, stands beside it.
  return orIfGone(() => stat(file.context.mounts.at(folder)).device, file.stat.device);
}

/** Notes the pseudo-terminal of a master side; returns the id of the object. */
export function ptyObject(master: OpenFile): string {
  const index = ttyGetInt(master.local, TTY.TIOCGPTN);
  return master.context.object(`pty:${instanceOf(master)}:${index}`, () => freezePty(master, index));
}

function freezePty(file: OpenFile, index: number): PtyState {
  const path = `/dev/pts/${index}`;
  const node = stat(file.context.mounts.at(path));
  refuseHolders(file, path, node);
  const { mode, uid, gid } = node;
  const slave = slaveOf(file, index);
  return {
    kind: "pty",
    index,
    termios: ttyGet(file.local, TTY.TCGETS2, TERMIOS2_SIZE).toString("base64"),
    winsize: ttyGet(file.local, TTY.TIOCGWINSZ, WINSIZE_SIZE).toString("base64"),
    locked: ttyGetInt(file.local, TTY.TIOCGPTLCK) !== 0,
    packetMode: ttyGetInt(file.local, TTY.TIOCGPKT) !== 0,
    exclusive: ttyGetInt(file.local, TTY.TIOCGEXCL) !== 0,
    hungUp: (pollNow(file.local, POLL.POLLHUP) & POLL.POLLHUP) !== 0,
    ...(slave && ttyGetInt(slave.local, TTY.TIOCGEXCL) !== 0 && { exclusiveSlave: true }),
    ...readQueue(file, path, slave),
    mode,
    uid,
    gid,
  };
}

function refuseHolders(file: OpenFile, path: string, node: FileStat): void {
  const [holder] = holdersOf(file.context, path, node);
  if (!holder) return;
  throw failures.EXTERNAL_PTY({ file, path, otherPid: holder.pid, otherCommand: holder.command, otherFd: holder.fd });
}

/** A descriptor of the slave side, if the set has one. */
function slaveOf(file: OpenFile, index: number): OpenFile | undefined {
  const device = instanceOf(file);
  return file.context
    .openFiles()
    .find(
      ([, { stat: of, info }]) =>
        ptyIndex(of.deviceNode) === index && of.device === device && (info.flags & O.O_PATH) === 0,
    )?.[1];
}

/** What was typed or shown and not yet read. */
function readQueue(file: OpenFile, path: string, slave: OpenFile | undefined): PtyQueue {
  refuseUnreadable(file, path);
  if (slave) {
    if ((pollNow(file.local, POLL.POLLPRI) & POLL.POLLPRI) === 0)
      return asUsual(file.local, () => peekQueue(file.local, slave.local));
    throw failures.PTY_DATA({
      file,
      path,
      why: "It is in packet mode, and has something to tell that can only be read once (TIOCPKT).",
    });
  }
  const output = ttyQueued(file.local);
  if (output === 0) return {};
  // To open and close the slave side tells the master of a hang-up, which must not be news to it.
  if ((pollNow(file.local, POLL.POLLHUP) & POLL.POLLHUP) === 0) {
    throw failures.PTY_DATA({ file, path, why: `It holds ${output} bytes of output, and is open on that side only.` });
  }
  return asUsual(file.local, () => {
    const own = openPeer(file.local, O.O_RDWR | O.O_NONBLOCK);
    try {
      return peekQueue(file.local, own);
    } finally {
      closeSync(own);
    }
  });
}

/**
 * What was typed may be read by whoever has a master side, which opens the other one (TIOCGPTPEER); what was written,
 * through a master side that reads. To open its node again makes another terminal.
 */
function refuseUnreadable(file: OpenFile, path: string): void {
  const { context, local } = file;
  if (context.user === undefined) return;
  const index = ttyGetInt(local, TTY.TIOCGPTN);
  const instance = instanceOf(file);
  const masters = context
    .openFiles()
    .filter(([, { stat: of, info }]) => of.deviceNode === PTMX && (info.flags & O.O_PATH) === 0)
    .filter(([, one]) => ttyGetInt(one.local, TTY.TIOCGPTN) === index && instanceOf(one) === instance);
  if (masters.some(([, one]) => reads(one))) return;
  throw notReadable(file, `Its descriptors of the master side of ${path} are for writing only.`);
}

/** Unlocked and not in packet mode, for the moment in which it is looked into. */
function asUsual<T>(master: LocalFd, action: () => T): T {
  const modes = [
    [TTY.TIOCGPKT, TTY.TIOCPKT],
    [TTY.TIOCGPTLCK, TTY.TIOCSPTLCK],
  ] as const;
  const on = modes.filter(([get]) => ttyGetInt(master, get) !== 0);
  for (const [, set] of on) ttySetInt(master, set, 0);
  try {
    return action();
  } finally {
    for (const [, set] of on) ttySetInt(master, set, 1);
  }
}

export const pty: ObjectKind<PtyState, PtyHandle, "pty"> = {
  name: "pty",
  schema,
  forUser: ofAnyUser,
  needs: () => [{ option: "CONFIG_UNIX98_PTYS", what: "pseudo-terminals, pty(7)" }],
  thaw(state, context: ThawContext): PtyHandle {
    const master = context.keep(openMaster(context.mounts, state.index));
    ttySetInt(master, TTY.TIOCSPTLCK, 0);
    const openSlave = (flags: number): LocalFd => openPeer(master, flags);
    if (state.hungUp) closeSync(openSlave(O.O_RDWR));
    ttySet(master, TTY.TCSETS2, Buffer.from(state.termios, "base64"));
    ttySet(master, TTY.TIOCSWINSZ, Buffer.from(state.winsize, "base64"));
    ownNode(context.mounts, state);
    if (state.input !== undefined || state.output !== undefined || state.stopped !== undefined) {
      context.during("fill", () => {
        const slave = openSlave(O.O_RDWR | O.O_NONBLOCK);
        fillQueue(master, slave, state);
        closeSync(slave);
      });
    }
    context.during("arm", () => {
      if (state.exclusiveSlave) setExclusive(openSlave(O.O_RDWR | O.O_NONBLOCK));
      // Only now: changes of its modes would be told as packets.
      if (state.packetMode) ttySetInt(master, TTY.TIOCPKT, 1);
      if (state.locked) ttySetInt(master, TTY.TIOCSPTLCK, 1);
      if (state.exclusive) call("ioctl", "Setting up a terminal", master, TTY.TIOCEXCL);
    });
    return { master, openSlave };
  },
};

/** Of the very node: what else may have that path by now is not touched. */
function ownNode(mounts: MountView, state: PtyState): void {
  const path = `/dev/pts/${state.index}`;
  const node = isForUser() ? openPath(mounts.at(path), O.O_PATH | O.O_NOFOLLOW) : openCanonical(mounts, path, O.O_PATH);
  try {
    if (ptyIndex(fstat(node).deviceNode) === state.index) ownOpen(node, state);
  } finally {
    closeSync(node);
  }
}

function setExclusive(slave: LocalFd): void {
  call("ioctl", "Setting up a terminal", slave, TTY.TIOCEXCL);
  closeSync(slave);
}

/** The slave side of a master of ours. O_CLOEXEC would stay visible among the file"s flags. */
export function openPeer(master: LocalFd, flags: number): LocalFd {
  const fd = call("ioctl", "Opening a terminal", master, TTY.TIOCGPTPEER, (flags & ~O.O_CLOEXEC) | O.O_NOCTTY);
  call("fcntl", "Marking a terminal", fd, F.F_SETFD, 1);
  return fd as LocalFd;
}

/** The one of the file system that shows the slave sides; /dev/ptmx may be a link to it or a node of its own. */
export function ptmxPath(mounts: MountView): ReachedPath {
  const own = mounts.at("/dev/pts/ptmx");
  return existsSync(own) ? own : mounts.at("/dev/ptmx");
}

/** The kernel gives the lowest number that is free: those below are held until the wanted one comes. */
function openMaster(mounts: MountView, index: number): LocalFd {
  const others: LocalFd[] = [];
  try {
    while (others.length < MOST_TRIES) {
      const fd = openPath(ptmxPath(mounts), O.O_RDWR);
      const got = ttyGetInt(fd, TTY.TIOCGPTN);
      if (got === index) return fd;
      others.push(fd);
      if (got > index) break;
    }
  } finally {
    for (const fd of others) closeSync(fd);
  }
  throw failures.PTY_TAKEN({ index });
}

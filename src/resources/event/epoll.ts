/**
 * An epoll set (epoll(7)). Its entries are pairs of a descriptor number and an open file description, as fdinfo lists
 * them; the number may have been closed or used again since, and kcmp(2) tells which description is meant.
 */
import { compareTasks, livingThread } from "../../sys/task.ts";
import { pollNow } from "../../sys/poll.ts";
import { POLL } from "../../abi/poll.ts";
import * as v from "valibot";
import { attempt, call, withStruct } from "../../sys/call.ts";
import {
  EPIOCGPARAMS,
  EPIOCSPARAMS,
  EPOLL,
  EPOLL_CTL_ADD,
  EPOLL_EVENT_SIZE,
  EPOLL_PARAMS_SIZE,
  encodeEpollEvent,
} from "../../abi/epoll.ts";
import { KCMP } from "../../abi/fcntl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { formatFlags, parseFlags } from "../../lib/flags.ts";
import { hexSchema } from "../../lib/hex.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { FileHolder, FileKind } from "../contract.ts";
import { atNumber } from "../process/descriptor-at-number.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const entry = v.strictObject({
  /** The descriptor number under which the file was added. */
  fd: v.number(),
  /** The open file. */
  file: v.string(),
  /** EPOLL… names joined by |. Of an entry that has fired once (EPOLLONESHOT) only the modes are left. */
  events: v.string(),
  data: hexSchema,
});
type Entry = v.InferOutput<typeof entry>;

const schema = v.strictObject({
  entries: v.array(entry),
  /** Whether epoll_wait(2) would have had something to tell. */
  ready: v.boolean(),
  /** How long and how much its waits poll network devices: struct epoll_params. */
  busyPoll: v.optional(v.strictObject({ microseconds: v.number(), budget: v.number(), prefer: v.boolean() })),
});
type EpollState = v.InferOutput<typeof schema>;

/** Events of an entry that waits to be armed again: no condition is left, not even the two that are implied. */
const CONDITIONS = ~(EPOLL.EPOLLONESHOT | EPOLL.EPOLLET | EPOLL.EPOLLWAKEUP | EPOLL.EPOLLEXCLUSIVE);

export const epoll: FileKind<EpollState, "epoll"> = {
  name: "epoll",
  schema,
  forUser: ofAnyUser,
  needs: () => [{ option: "CONFIG_EPOLL", what: "epoll(7)" }],
  recognise: (file) => file.link === "anon_inode:[eventpoll]",
  freeze(file) {
    const busyPoll = readBusyPoll(file.local);
    const ready = (pollNow(file.local, POLL.POLLIN) & POLL.POLLIN) !== 0;
    return { entries: readEntries(file), ready, ...(busyPoll && { busyPoll }) };
  },
  thaw({ busyPoll }, context) {
    const fd = context.keep(call("epoll_create1", "Making an epoll set", 0) as LocalFd);
    if (busyPoll) setBusyPoll(fd, busyPoll);
    return fd;
  },
  attachesTo: ({ entries }) => entries.map(({ file }) => file),
  attach(state, holder, local) {
    // Entries that have fired first, while nothing else is there: adding one arms it for errors and hang-ups.
    const fired = state.entries.filter((one) => (parseFlags(EPOLL, one.events) & CONDITIONS) === 0);
    for (const one of fired) addEntry(holder, one);
    if (fired.length > 0) drain(local, fired.length);
    for (const one of state.entries) if (!fired.includes(one)) addEntry(holder, one);
    // Nothing was ready: what edge-triggered entries report now, because they are new, the program knows already.
    if (!state.ready) holder.process.context.during("arm", () => drain(local, state.entries.length));
  },
};

function readBusyPoll(fd: LocalFd): EpollState["busyPoll"] {
  return withStruct(EPOLL_PARAMS_SIZE, (bytes, address) => {
    if (attempt("ioctl", fd, EPIOCGPARAMS, address) < 0) return undefined;
    if (bytes.every((byte) => byte === 0)) return undefined;
    return { microseconds: bytes.readUInt32LE(0), budget: bytes.readUInt16LE(4), prefer: bytes[6] !== 0 };
  });
}

/** It makes waiting quicker, no more: where the kernel has no such thing, nothing is lost. */
function setBusyPoll(fd: LocalFd, { microseconds, budget, prefer }: NonNullable<EpollState["busyPoll"]>): void {
  withStruct(EPOLL_PARAMS_SIZE, (bytes, address) => {
    bytes.writeUInt32LE(microseconds, 0);
    bytes.writeUInt16LE(budget, 4);
    bytes[6] = Number(prefer);
    attempt("ioctl", fd, EPIOCSPARAMS, address);
  });
}

function readEntries(file: OpenFile): Entry[] {
  const sameNumber = new Map<number, number>();
  return file.info.rest.flatMap(([name, value]) => {
    if (name !== "tfd") return [];
    const [, number = "", events = "", data = "", inode = ""] =
      /^(\d+) events:\s*([0-9a-f]+) data:\s*([0-9a-f]+)\s+pos:-?\d+ ino:([0-9a-f]+)/.exec(value) ?? [];
    const fd = Number(number);
    const offset = sameNumber.get(fd) ?? 0;
    sameNumber.set(fd, offset + 1);
    const bits = Number.parseInt(events, 16);
    const target = findTarget(file, fd, offset, BigInt(`0x${inode}`));
    return [{ fd, file: target, events: formatFlags(EPOLL, bits), data: `0x${data}` }];
  });
}

/** The open file that an entry means; `offset` counts entries of the same number, in the order of fdinfo. */
function findTarget(file: OpenFile, fd: number, offset: number, inode: bigint): string {
  const ours = livingThread(process.pid);
  const isTarget = (candidate: LocalFd): boolean =>
    withStruct(12, (slot, address) => {
      [file.local, fd, offset].forEach((word, i) => slot.writeUInt32LE(word, i * 4));
      return compareTasks(ours, ours, KCMP.EPOLL_TFD, candidate, address) === 0;
    });
  const usual = file.context.fileId(file.pid, fd);
  const others = file.context.openFiles();
  const likely = others.find(([id, other]) => id === usual && isTarget(other.local));
  const found = likely ?? others.find(([, other]) => other.stat.inode === inode && isTarget(other.local));
  if (found) return found[0];
  throw failures.EPOLL_TARGET({ file, fd });
}

function addEntry({ process, fd }: FileHolder, one: Entry): void {
  const about = `Adding descriptor ${one.fd} to an epoll set of process ${process.pid}`;
  atNumber(process, process.context.file(one.file), one.fd, (number) => {
    const event = process.scope.put(encodeEpollEvent(parseFlags(EPOLL, one.events), BigInt(one.data)));
    process.scope.call("epoll_ctl", about, fd, EPOLL_CTL_ADD, number, event);
  });
}

/** Takes everything that is ready once; what is level-triggered stays ready. */
function drain(local: LocalFd, most: number): void {
  withStruct(Math.max(most, 1) * EPOLL_EVENT_SIZE, (_bytes, address) => {
    call("epoll_wait", "Looking into an epoll set", local, address, Math.max(most, 1), 0);
  });
}

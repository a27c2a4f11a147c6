/**
 * Open file descriptions and memory that a process outside of the set has as well, by inheritance or because they were
 * sent: they would come apart at the thaw, and are refused by name. What is opened twice is not shared. Pipes and
 * terminals look after themselves.
 */
import { readFileSync } from "../../sys/files.ts";
import { KCMP, O, O_ACCMODE } from "../../abi/fcntl.ts";
import { compareTasks, procPath } from "../../sys/task.ts";
import { unixNameOf } from "../../abi/sockaddr.ts";
import { AF, SO, SOCK, SOL } from "../../abi/socket.ts";
import { getInt, socketAddress } from "../../sys/socket.ts";
import { S_IF } from "../../abi/stat.ts";
import { TUN } from "../../abi/tun.ts";
import { failures } from "../../errors/catalogue.ts";
import { Refusal } from "../../errors/failure.ts";
import { hex } from "../../lib/hex.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { lookAtHolder, type Held } from "../../proc/holders.ts";
import { parseLocks } from "../../proc/locks.ts";
import { formatMapDevice, type Mapping } from "../../proc/maps.ts";
import { memoryKey } from "../../proc/outside.ts";
import { readStat } from "../../proc/read.ts";
import type { FreezeContext, FreezeProcess, OpenFile } from "../../resources/freeze-context.ts";
import { activationOf, whyNotActivated } from "../../resources/socket/activation/activated.ts";
import { isManager } from "../../resources/socket/activation/manager-sockets.ts";
import type { NotAgain } from "../../resources/socket/activation/socket-units.ts";
import { isJournal } from "../../resources/socket/unix/journal-stream.ts";

const O_RDONLY = 0;

/** Of what is neither a file nor a socket, these have a state of their own that is shared. */
const STATEFUL = /^anon_inode:(\[?(eventpoll|eventfd|timerfd|fanotify|io_uring)\]?|inotify)/;

/** Refuses the files of the set that somebody outside has open by the very same description, or whose contents they share. */
export function refuseSharedFiles(context: FreezeContext): void {
  for (const [link, files] of Map.groupBy(context.openFiles(), ([, { link: at }]) => at)) {
    const holders = (context.outside.holders.get(link) ?? []).filter(({ pid }) => !context.pids.has(pid));
    if (holders.length === 0) continue;
    const mine = files.map(([, file]) => file).filter(isApart);
    if (mine.length === 0) continue;
    const refused = new Set<OpenFile>();
    for (const holder of holders) {
      const file = sameAs(holder, mine);
      if (!file || refused.has(file) || (isManager(holder.pid) && activationOf(file))) continue;
      refused.add(file);
      context.refuse(refusalOf(file, holder));
    }
  }
}

/** Whether it matters that two have the same. */
function isApart(file: OpenFile): boolean {
  const { stat, info, link, local } = file;
  if ((info.flags & O.O_PATH) !== 0) return false;
  if (stat.type === S_IF.S_IFSOCK) return !isOneWay(local);
  if (link.startsWith("anon_inode:")) return STATEFUL.test(link);
  if (stat.deviceNode === TUN) return true;
  // Namespaces and pidfds say that they are regular files.
  if (stat.type !== S_IF.S_IFREG || !link.startsWith("/")) return false;
  // Whoever only appends does not ask where the other one stands.
  const appends = (info.flags & O.O_APPEND) !== 0 && (info.flags & O_ACCMODE) === O.O_WRONLY;
  return !appends || stat.links === 0 || parseLocks(info).some(({ type }) => type !== "POSIX");
}

/** The way to a service that everybody reaches by its name: two of them are as good as one. */
function isOneWay(socket: OpenFile["local"]): boolean {
  if (getInt(socket, SOL.SOL_SOCKET, SO.SO_DOMAIN) !== AF.AF_UNIX) return false;
  const named = (which: "getsockname" | "getpeername"): string => {
    const address = socketAddress(socket, which);
    return address === undefined ? "" : unixNameOf(address);
  };
  const peer = named("getpeername");
  if (getInt(socket, SOL.SOL_SOCKET, SO.SO_TYPE) !== SOCK.SOCK_DGRAM) return isJournal(peer);
  const isConnected = socketAddress(socket, "getpeername") !== undefined;
  return named("getsockname") === "" && (peer !== "" || !isConnected);
}

/** The file of ours that a descriptor outside leads to, of those with the same link. */
function sameAs(held: Held, files: readonly OpenFile[]): OpenFile | undefined {
  return files.find((file) => {
    if (compareTasks(file.task, held.task, KCMP.FILE, file.fd, held.fd) === 0) return true;
    if (file.stat.type !== S_IF.S_IFREG || file.stat.links !== 0) return false;
    // Opened by a way of its own, but what is written there the other one reads.
    const holder = lookAtHolder(held);
    const writes = [file.info.flags & O_ACCMODE, holder?.access ?? 0].some((access) => access !== O_RDONLY);
    return writes && holder?.file === `${file.stat.device}:${file.stat.inode}`;
  });
}

function refusalOf(file: OpenFile, { pid, fd }: Held): Refusal {
  const other = { otherPid: pid, otherCommand: readStat(pid)?.comm ?? "?", otherFd: fd };
  if (file.stat.type !== S_IF.S_IFSOCK) return failures.SHARED_FILE({ file, ...other });
  const kept = keptFor(file, pid);
  if (kept) return failures.SOCKET_ACTIVATED.kept({ file, ...other, ...kept });
  return failures.SHARED_SOCKET({ file, ...other });
}

/** SD_LISTEN_FDS_START (sd_listen_fds(3)). */
const FIRST_LISTENED = 3;

/** Why a service manager has a socket that it would not make again; undefined for a holder of another kind. */
function keptFor(file: OpenFile, holder: number): NotAgain | undefined {
  if (isManager(holder)) return whyNotActivated(file) ?? ofOther("it is not systemd, or answers no question");
  return wasPassed(file) ? ofOther("it is not the one of the whole machine") : undefined;
}

function ofOther(why: string): NotAgain {
  return { why, remedy: "Start the service without its socket unit, where it can open its socket itself." };
}

/** Whether the process was started with it (sd_listen_fds(3)). */
function wasPassed({ task, fd }: OpenFile): boolean {
  const text = orIfGone(() => readFileSync(procPath(task, "environ"), "utf8"), "");
  const count = /(?:^|\0)LISTEN_FDS=(\d+)/.exec(text)?.[1] ?? "0";
  return fd >= FIRST_LISTENED && fd < FIRST_LISTENED + Number(count);
}

/** Refuses memory without a file that somebody outside maps, or has open, where one of them may write. */
export function refuseSharedMemory({ pid, command, context }: FreezeProcess, mapping: Mapping): void {
  const other = findOther(context, mapping);
  if (other === undefined) return;
  const start = hex(mapping.start);
  context.refuse(
    failures.SHARED_MEMORY({
      pid,
      command,
      start,
      path: mapping.path,
      other,
      otherCommand: readStat(other)?.comm ?? "?",
    }),
  );
}

function findOther({ outside, pids }: FreezeContext, { device, inode, path, flags }: Mapping): number | undefined {
  const mayWrite = flags.includes("mw");
  const mapper = (outside.mappers.get(memoryKey(device, inode)) ?? []).find(
    ({ pid, writes }) => !pids.has(pid) && (mayWrite || writes) && readStat(pid) !== undefined,
  );
  if (mapper) return mapper.pid;
  const here = `${formatMapDevice(device)}:${inode}`;
  for (const held of outside.holders.get(path) ?? []) {
    const holder = pids.has(held.pid) ? undefined : lookAtHolder(held);
    if (holder?.file === here && (mayWrite || holder.access !== O_RDONLY)) return holder.pid;
  }
  return undefined;
}

/**
 * Sockets that systemd has made for a unit (systemd.socket(5), Accept=no), and has open itself as well: after a boot it
 * makes them anew, and the thawed processes get those (pidfd_getfd(2)), as a service does that is started with them.
 */
import { closeSync } from "node:fs";
import * as v from "valibot";
import { presentBoot } from "../../../abi/boot.ts";
import { attempt, call } from "../../../abi/call.ts";
import { KCMP } from "../../../abi/fcntl.ts";
import { taskOf } from "../../../abi/living.ts";
import { networkHere, socketNamespace } from "../../../abi/namespaces.ts";
import { parseInet, unixNameOf } from "../../../abi/sockaddr.ts";
import { AF, getInt, SO, SOCK, socketAddress, SOL } from "../../../abi/socket.ts";
import { fstat, S_IF } from "../../../abi/stat.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import { KmonteError, Refusal } from "../../../lib/errors.ts";
import { showUnits } from "../../../lib/systemctl.ts";
import { isSystemdRunning } from "../../../lib/systemd-unit.ts";
import { linkOf, readdirOrEmpty } from "../../../proc/read.ts";
import type { FreezeContext, OpenFile, ThawContext } from "../../contract.ts";
import { socketUnits, startSocketUnit, type SocketUnit } from "./socket-units.ts";

/** Where systemd is, which keeps the sockets of the machine's units. */
const MANAGER = 1;

/** What tells one socket of systemd's from another. */
const soughtSchema = v.strictObject({
  family: v.number(),
  type: v.number(),
  protocol: v.number(),
  /** As systemd writes it: a path, `@NAME`, `ADDRESS:PORT`. */
  address: v.string(),
});
export type Sought = v.InferOutput<typeof soughtSchema>;

export const activationSchema = v.strictObject({
  ...soughtSchema.entries,
  /** The socket unit that it is of. */
  unit: v.string(),
  /** Which socket it was (`socket:[INODE]`), in which boot. */
  inode: v.string(),
  boot: v.string(),
});
export type Activation = v.InferOutput<typeof activationSchema>;

/** As systemctl calls them (SocketType). */
const KINDS: Readonly<Record<number, string>> = {
  [SOCK.SOCK_STREAM]: "Stream",
  [SOCK.SOCK_DGRAM]: "Datagram",
  [SOCK.SOCK_SEQPACKET]: "SequentialPacket",
};

const known = new WeakMap<OpenFile, Activation | false>();

/** Where systemd has it as well: those that are not in the way. */
export function isManager(pid: number): boolean {
  return pid === MANAGER;
}

/** The socket unit that a socket was made for, if systemd has it open as well, and makes it at each boot. */
export function activationOf(file: OpenFile): Activation | undefined {
  const before = known.get(file);
  if (before !== undefined) return before || undefined;
  const found = findActivation(file);
  known.set(file, found ?? false);
  return found;
}

function findActivation(file: OpenFile): Activation | undefined {
  // Sockets of root's are nothing for a user's image.
  if (file.stat.type !== S_IF.S_IFSOCK || file.context.user || !isSystemdRunning()) return undefined;
  const isKept = (file.context.outside.holders.get(file.link) ?? []).some(
    ({ pid, fd }) => pid === MANAGER && attempt("kcmp", taskOf(file.pid), pid, KCMP.FILE, file.fd, fd) === 0,
  );
  if (!isKept || socketNamespace(file.local) !== networkHere()) return undefined;
  const sought = describe(file.local);
  const unit = sought && unitsOf(file.context).find((one) => isOf(one, sought));
  if (!unit) return undefined;
  return { ...sought, unit: unit.name, inode: String(file.stat.inode), boot: presentBoot() };
}

/** What it is, if it is something that a socket unit makes: listening, or without connections and bound. */
function describe(socket: LocalFd): Sought | undefined {
  const option = (name: "SO_DOMAIN" | "SO_TYPE" | "SO_PROTOCOL"): number =>
    getInt(socket, SOL.SOL_SOCKET, SO[name]) ?? 0;
  const [family, type, protocol] = [option("SO_DOMAIN"), option("SO_TYPE"), option("SO_PROTOCOL")];
  const name = socketAddress(socket, "getsockname");
  if (!name || KINDS[type] === undefined) return undefined;
  const listens = getInt(socket, SOL.SOL_SOCKET, SO.SO_ACCEPTCONN) === 1;
  if (type === SOCK.SOCK_DGRAM ? socketAddress(socket, "getpeername") !== undefined : !listens) return undefined;
  const address = addressOf(family, name);
  return address === undefined ? undefined : { family, type, protocol, address };
}

function addressOf(family: number, name: Buffer): string | undefined {
  if (family === AF.AF_UNIX) return unixNameOf(name) || undefined;
  if (family !== AF.AF_INET && family !== AF.AF_INET6) return undefined;
  const { address, port } = parseInet(name);
  return port === 0 ? undefined : `${family === AF.AF_INET ? address : `[${address}]`}:${port}`;
}

function isOf({ listens, accept }: SocketUnit, { type, address }: Sought): boolean {
  return !accept && listens.some((one) => one.kind === KINDS[type] && one.address === address);
}

const units = new WeakMap<FreezeContext, readonly SocketUnit[]>();

function unitsOf(context: FreezeContext): readonly SocketUnit[] {
  const before = units.get(context);
  if (before) return before;
  const found = listUnits().filter(({ active }) => active);
  units.set(context, found);
  return found;
}

/** A systemd that does not answer has none that could be counted on. */
function listUnits(): SocketUnit[] {
  try {
    return socketUnits();
  } catch (error) {
    if (error instanceof KmonteError) return [];
    throw error;
  }
}

export interface Taken {
  readonly fd: LocalFd;
  /** Whether it is the very socket of the freeze, with all that was set and waits there. */
  readonly isSame: boolean;
}

/** systemd's socket for a thaw; `check` has been asked before. */
export function takeActivated(activation: Activation, context: ThawContext): Taken {
  const taken = takenIn(context);
  const inode = pick(activation, (each) => !taken.has(each));
  if (inode === undefined) throw missing(activation, "It has been closed again.");
  taken.add(inode);
  const fd = fetch(inode);
  if (fd === undefined) throw missing(activation, "It has been closed again.");
  return { fd: context.keep(fd), isSame: isSame(activation, inode) };
}

/** Sockets are told apart by what they are bound to; where several are bound to the same, each is taken once. */
const takenBy = new WeakMap<ThawContext, Set<string>>();
function takenIn(context: ThawContext): Set<string> {
  const taken = takenBy.get(context) ?? new Set<string>();
  takenBy.set(context, taken);
  return taken;
}

/**
 * What stands in the way of getting systemd's socket, asked before anything is made. Has systemd listen where it does not
 * yet: early in a boot it would come to that only later.
 */
export function checkActivated(activation: Activation): Refusal | undefined {
  const { unit } = activation;
  if (!isSystemdRunning()) return missing(activation, "systemd does not run here.");
  if (pick(activation) === undefined) {
    const why = startSocketUnit(unit);
    if (why !== undefined) return missing(activation, `Starting ${unit} failed: ${why}`);
    if (pick(activation) === undefined) return missing(activation, whereElse(unit));
  }
  const service = socketUnits([unit])[0]?.service ?? "";
  const [state] = service === "" ? [] : showUnits([service], ["ActiveState", "MainPID"]);
  const main = state?.get("MainPID") ?? "0";
  // In the boot that hands it over, it is still being started.
  if (state?.get("ActiveState") !== "active" || main === "0") return undefined;
  return new Refusal("SOCKET_UNIT_USED", {
    what: `${service} has been started anew while its processes were frozen, and serves ${activation.address}.`,
    why: `Process ${main} is its main process; both would take connections from the socket of ${unit}.`,
    remedy: `systemctl stop ${service}, and thaw again.`,
  });
}

function whereElse(unit: string): string {
  const [found] = socketUnits([unit]);
  const listens = found?.listens.map(({ address, kind }) => `${address} (${kind})`) ?? [];
  return `${unit} listens at ${listens.join(", ") || "nothing"} now.`;
}

function missing({ unit, address }: Activation, why: string): Refusal {
  return new Refusal(
    "SOCKET_UNIT_MISSING",
    {
      what: `Processes share a socket of ${unit} with systemd, and systemd does not listen at ${address}.`,
      why,
      remedy: `See that ${unit} listens there again (systemctl cat ${unit}, systemctl start ${unit}), and thaw again.`,
    },
    { path: address },
  );
}

/** The inode of systemd's socket: the very one of the freeze, where that is there still. */
function pick(activation: Activation, isFree: (inode: string) => boolean = () => true): string | undefined {
  const free = managersSockets().filter(isFree);
  const same = free.find((inode) => isSame(activation, inode));
  if (same !== undefined) return same;
  return free.find((inode) => {
    const fd = fetch(inode);
    if (fd === undefined) return false;
    try {
      const here = socketNamespace(fd) === networkHere() ? describe(fd) : undefined;
      return here !== undefined && isLike(here, activation);
    } finally {
      closeSync(fd);
    }
  });
}

function isSame({ inode, boot }: Activation, here: string): boolean {
  return inode === here && boot === presentBoot();
}

function isLike(one: Sought, other: Sought): boolean {
  return (["family", "type", "protocol", "address"] as const).every((name) => one[name] === other[name]);
}

const SOCKET_LINK = /^socket:\[(\d+)\]$/;

function managersSockets(): string[] {
  const inodes = readdirOrEmpty(`/proc/${MANAGER}/fd`).flatMap((fd) => inodeAt(fd) ?? []);
  return [...new Set(inodes)];
}

function inodeAt(fd: string): string | undefined {
  return SOCKET_LINK.exec(linkOf(`/proc/${MANAGER}/fd/${fd}`) ?? "")?.[1];
}

/** A duplicate of systemd's socket of an inode; undefined when it has none any more. */
function fetch(inode: string): LocalFd | undefined {
  const number = readdirOrEmpty(`/proc/${MANAGER}/fd`).find((fd) => inodeAt(fd) === inode);
  if (number === undefined) return undefined;
  const pidfd = call("pidfd_open", "Opening systemd", MANAGER, 0);
  try {
    const fd = attempt("pidfd_getfd", pidfd, Number(number), 0);
    if (fd < 0) return undefined;
    // The number may be another file's by now.
    if (String(fstat(fd).inode) === inode) return fd as LocalFd;
    closeSync(fd);
    return undefined;
  } finally {
    closeSync(pidfd);
  }
}

/** What the program had set on it and a new one of systemd's does not take. */
export function noteUnset({ unit, address }: Activation, names: readonly string[], context: ThawContext): void {
  if (names.length === 0) return;
  context.note(`The socket of ${unit} at ${address} is as systemd has made it: ${names.join(", ")} could not be set.`);
}

/** Why it is not for ordinary users. */
export function ofManager({ unit }: Activation): string {
  return `It has a socket of ${unit}, which is systemd's to give.`;
}

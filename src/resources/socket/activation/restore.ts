/** Getting at the thaw what systemd has made anew for a socket unit, or has still: its sockets are duplicated (pidfd_getfd(2)). */
import { Memo } from "../../memo.ts";
import { basename } from "node:path";
import { presentBoot } from "../../../sys/boot.ts";
import type { LocalFd } from "../../../lib/brand.ts";
import { failures } from "../../../errors/catalogue.ts";
import type { Refusal } from "../../../errors/failure.ts";
import { showUnits, startUnitSoon, stopUnit } from "../../../lib/systemctl.ts";
import { HAND_OVER_DROP_IN, isSystemdRunning } from "../../../lib/systemd-unit.ts";
import type { ThawContext } from "../../thaw-context.ts";
import type { Activation } from "./activated.ts";
import { fetchSocket, socketsLike } from "./manager-sockets.ts";
import { socketUnits, startSocketUnit } from "./socket-units.ts";

export interface Taken {
  readonly fd: LocalFd;
  /** Whether it is the very socket of the freeze, with all that was set and waits there. */
  readonly isSame: boolean;
}

/** systemd's socket for a thaw; `check` has been asked before. */
export function takeActivated(activation: Activation, context: ThawContext): Taken {
  const taken = takenIn(context);
  const inode = pick(activation, taken);
  if (inode === undefined) throw missing(activation, "It has been closed again.");
  taken.add(inode);
  keepFromStarting(activation, context);
  const fd = fetchSocket(inode);
  if (fd === undefined) throw missing(activation, "It has been closed again.");
  return { fd: context.keep(fd), isSame: isSame(activation, inode) };
}

/** Sockets are told apart by what they are bound to; where several are bound to the same, each is taken once. */
const takenBy = new Memo(() => new Set<string>());
function takenIn(context: ThawContext): Set<string> {
  const taken = context.memo(takenBy);
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
  const service = serviceOf(unit);
  return service === undefined || service.isHandedOver ? undefined : startedAnew(activation, service);
}

interface Service {
  readonly name: string;
  readonly state: string;
  /** Whether it is to get the processes of this thaw, instead of starting its own. */
  readonly isHandedOver: boolean;
}

/** What is started when somebody comes to a socket unit. */
function serviceOf(unit: string): Service | undefined {
  const name = socketUnits([unit])[0]?.service ?? "";
  const [shown] = name === "" ? [] : showUnits([name], ["ActiveState", "DropInPaths"]);
  if (!shown) return undefined;
  const dropIns = (shown.get("DropInPaths") ?? "").split(" ");
  const isHandedOver = dropIns.some((path) => basename(path) === HAND_OVER_DROP_IN);
  return { name, state: shown.get("ActiveState") ?? "", isHandedOver };
}

function startedAnew({ unit }: Activation, { name, state }: Service): Refusal | undefined {
  if (state === "inactive" || state === "failed") return undefined;
  return failures.SOCKET_UNIT_USED({ name, state, unit });
}

/**
 * Where systemd is not to get the processes, it would start others as soon as somebody comes. It is told to listen no
 * more: they have the socket alone then, with whoever waits there.
 */
function keepFromStarting(activation: Activation, context: ThawContext): void {
  const { unit } = activation;
  const service = serviceOf(unit);
  if (!service || service.isHandedOver) return;
  context.during("arm", () => {
    if (!isActive(unit)) return;
    const refuseStarted = (): void => {
      const problem = startedAnew(activation, serviceOf(unit) ?? service);
      if (problem) throw problem;
    };
    refuseStarted();
    context.undo(unit, () => startUnitSoon(unit));
    stopUnit(unit);
    // Somebody may have come in between.
    refuseStarted();
    context.note(
      `systemd does not listen for ${unit} any more, as it would start ${service.name} a second time: the thawed processes have its sockets alone. After kmonte swap and kmonte suspend it has its units again.`,
    );
  });
}

function isActive(unit: string): boolean {
  return socketUnits([unit])[0]?.active === true;
}

function whereElse(unit: string): string {
  const [found] = socketUnits([unit]);
  const listens = found?.listens.map(({ address, kind }) => `${address} (${kind})`) ?? [];
  return `${unit} listens at ${listens.join(", ") || "nothing"} now.`;
}

function missing({ unit, address }: Activation, why: string): Refusal {
  return failures.SOCKET_UNIT_MISSING({ unit, address, why });
}

/** What the program had set on it and a new one of systemd's does not take. */
export function noteUnset({ unit, address }: Activation, names: readonly string[], context: ThawContext): void {
  if (names.length === 0) return;
  context.note(`The socket of ${unit} at ${address} is as systemd has made it: ${names.join(", ")} could not be set.`);
}

/** The inode of systemd's socket: the very one of the freeze, where that is there still. */
function pick(activation: Activation, taken: ReadonlySet<string> = new Set()): string | undefined {
  const free = socketsLike(activation).filter((inode) => !taken.has(inode));
  return free.find((inode) => isSame(activation, inode)) ?? free[0];
}

function isSame({ inode, boot }: Activation, here: string): boolean {
  return inode === here && boot === presentBoot();
}

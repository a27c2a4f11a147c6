/**
 * Sockets that systemd has made for a unit (systemd.socket(5), Accept=no), and has open itself as well: after a boot it
 * makes them anew, and the thawed processes get those, as a service does that is started with them.
 */
import { Memo } from "../../memo.ts";
import * as v from "valibot";
import { presentBoot } from "../../../sys/boot.ts";
import { KCMP } from "../../../abi/fcntl.ts";
import { compareTasks } from "../../../sys/task.ts";
import { networkHere, socketNamespace } from "../../../sys/namespaces.ts";
import { S_IF } from "../../../abi/stat.ts";
import { KmonteError } from "../../../errors/failure.ts";
import { isSystemdRunning } from "../../../lib/systemd-unit.ts";
import type { OpenFile } from "../../freeze-context.ts";
import { describeSocket, isManager, KINDS, soughtSchema, type Sought } from "./manager-sockets.ts";
import { forgottenBy, socketUnits, type NotAgain, type SocketUnit } from "./socket-units.ts";

export const activationSchema = v.strictObject({
  ...soughtSchema.entries,
  /** The socket unit that it is of. */
  unit: v.string(),
  /** Which socket it was (`socket:[INODE]`), in which boot. */
  inode: v.string(),
  boot: v.string(),
});
export type Activation = v.InferOutput<typeof activationSchema>;

/** Neither listening, nor bound and without connections; nor of IP or unix(7). */
const OF_NO_UNIT =
  "it is none that listens or is bound, but a connection (Accept=yes), say, or lies in the store (FileDescriptorStoreMax=)";

type Finding = Activation | NotAgain | undefined;
const findings = new Memo(() => new Map<OpenFile, Finding>());

/** The socket unit that a socket was made for, if systemd has it open as well, and makes it at each boot. */
export function activationOf(file: OpenFile): Activation | undefined {
  const found = findingOf(file);
  return found && "unit" in found ? found : undefined;
}

/** Why systemd, which has a socket open as well, would not make it at a boot. */
export function whyNotActivated(file: OpenFile): NotAgain | undefined {
  const found = findingOf(file);
  return found && "why" in found ? found : undefined;
}

function findingOf(file: OpenFile): Finding {
  const known = file.context.memo(findings);
  if (!known.has(file)) known.set(file, findActivation(file));
  return known.get(file);
}

function findActivation(file: OpenFile): Finding {
  // Sockets of root's are nothing for a user's image.
  if (file.stat.type !== S_IF.S_IFSOCK || file.context.user || !isSystemdRunning()) return undefined;
  const isKept = (file.context.outside.holders.get(file.link) ?? []).some(
    ({ pid, task, fd }) => isManager(pid) && compareTasks(file.task, task, KCMP.FILE, file.fd, fd) === 0,
  );
  if (!isKept) return undefined;
  if (socketNamespace(file.local) !== networkHere()) return notMade("it is of a network namespace of its own");
  const sought = describeSocket(file.local);
  if (!sought) return notMade(OF_NO_UNIT);
  const unit = file.context.memo(units).find((one) => isOf(one, sought));
  if (!unit) return notMade(`no socket unit that is active listens at ${sought.address}`);
  return (
    forgottenBy(unit, sought.address) ?? {
      ...sought,
      unit: unit.name,
      inode: String(file.stat.inode),
      boot: presentBoot(),
    }
  );
}

function notMade(why: string): NotAgain {
  return {
    why,
    remedy: "Let the service open the socket itself, or close it; else leave this process out (kmonte unprotect).",
  };
}

function isOf({ listens, accept }: SocketUnit, { type, address }: Sought): boolean {
  return !accept && listens.some((one) => one.kind === KINDS[type] && one.address === address);
}

const units = new Memo((): readonly SocketUnit[] => listUnits().filter(({ active }) => active));

/** A systemd that does not answer has none that could be counted on. */
function listUnits(): SocketUnit[] {
  try {
    return socketUnits();
  } catch (error) {
    if (error instanceof KmonteError) return [];
    throw error;
  }
}

/** Why it is not for ordinary users. */
export function ofManager({ unit }: Activation): string {
  return `It has a socket of ${unit}, which is systemd's to give.`;
}

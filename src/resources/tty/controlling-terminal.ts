/**
 * The controlling terminal of a session (setsid(2), ioctl_tty(2)). Its leader takes it before its children are cloned:
 * they have it by inheritance only.
 */
import * as v from "valibot";
import { statSync } from "../../sys/files.ts";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { O } from "../../abi/fcntl.ts";
import { TTY, ptyIndex, ttyDevice } from "../../abi/tty.ts";
import type { ProcessStat } from "../../proc/status.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ThawProcess } from "../thaw-context.ts";
import { openTerminal, outsideSchema } from "./terminal.ts";
import { findMaster, ptyObject } from "./pty.ts";

export const controllingTerminalSchema = v.strictObject({
  terminal: v.union([v.strictObject({ pty: v.string() }), v.strictObject({ outside: outsideSchema })]),
  /** The process group in the foreground. */
  foreground: v.number(),
});
export type ControllingTerminal = v.InferOutput<typeof controllingTerminalSchema>;

/** The terminal of the session that the process leads; nothing for anyone else. */
export function freezeControllingTerminal(context: FreezeContext, stat: ProcessStat): ControllingTerminal | undefined {
  if (stat.session !== stat.pid || stat.ttyNr === 0) return undefined;
  const device = ttyDevice(stat.ttyNr);
  const index = ptyIndex(device);
  const foreground = stat.tpgid;
  const master = index === undefined ? undefined : findMaster(context, index);
  if (master) return { terminal: { pty: ptyObject(master) }, foreground };
  const open = context.openFiles().find(([, file]) => file.stat.deviceNode === device)?.[1].link;
  const path = open ?? (index === undefined ? `/dev/tty${device.split(":")[1]}` : `/dev/pts/${index}`);
  // As the machine shows it: it is taken before a mount namespace of the set is there.
  const since = statSync(OWN_VIEW.at(path), { bigint: true, throwIfNoEntry: false })?.ctimeNs ?? 0n;
  return { terminal: { outside: { path, createdAt: String(since), device } }, foreground };
}

/** Right after setsid(2), which the process must have called. */
export function takeTerminal(process: ThawProcess, { terminal }: ControllingTerminal): void {
  withTerminal(process, terminal, (fd) => {
    process.scope.call("ioctl", `Taking the terminal of process ${process.pid}`, fd, TTY.TIOCSCTTY, 0);
  });
}

/** When all process groups stand. A group whose last member has ended cannot be named any more. */
export function setForeground(process: ThawProcess, { terminal, foreground }: ControllingTerminal): void {
  if (foreground <= 0) return;
  withTerminal(process, terminal, (fd) => {
    const group = Buffer.alloc(4);
    group.writeInt32LE(process.seen(foreground));
    process.scope.attempt("ioctl", fd, TTY.TIOCSPGRP, process.scope.put(group));
  });
}

function withTerminal(
  process: ThawProcess,
  terminal: ControllingTerminal["terminal"],
  use: (fd: number) => void,
): void {
  const machine = process.context.in(undefined);
  const local = machine.keep(openTerminal(terminal, machine, O.O_RDWR));
  process.lend(local, use);
}

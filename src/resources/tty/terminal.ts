/** A terminal as programs use it: the slave side of a pseudo-terminal of the set, or one that belongs to the outside. */
import { type MountView, OWN_VIEW } from "../../sys/mount-view.ts";
import { statSync } from "../../sys/files.ts";
import { pollNow } from "../../sys/poll.ts";
import { POLL } from "../../abi/poll.ts";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { attempt, withStruct } from "../../sys/call.ts";
import { O } from "../../abi/fcntl.ts";
import { S_IF } from "../../abi/stat.ts";
import { DEV_TTY, TERMIOS2_SIZE, TTY, ptyIndex } from "../../abi/tty.ts";
import { ttySetInt } from "../../sys/tty.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { FileKind } from "../contract.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { InconsistentImage } from "../../errors/wrong-input.ts";
import { ofAnyUser } from "../ordinary-user.ts";
import { openPath } from "../file/path-file.ts";
import { reopen } from "../file/reopen.ts";
import { findMaster, openPeer, ptmxPath, ptyObject, type PtyHandle } from "./pty.ts";

export const outsideSchema = v.strictObject({
  path: v.string(),
  /** When the node was made, for those that come and go (/dev/pts): nanoseconds since the epoch. */
  createdAt: v.string(),
  /** Its device number, `major:minor`. */
  device: v.optional(v.string()),
  /** Struct termios2, base64: what the program has set it to. */
  modes: v.optional(v.string()),
});

const terminalSchema = v.union([
  v.strictObject({ pty: v.string() }),
  v.strictObject({ outside: outsideSchema }),
  /** The master side was closed: reading gives the end of the file, writing EIO. */
  v.strictObject({ hungUp: v.literal(true) }),
  /** /dev/tty: the controlling terminal of this process. */
  v.strictObject({ controllingOf: v.number() }),
]);
export type TerminalState = v.InferOutput<typeof terminalSchema>;

/** Consoles, serial lines and the slave sides of pseudo-terminals (Documentation/admin-guide/devices.txt). */
const MAJORS = new Set(["4", "136", "204", "229"]);
const CONSOLE = "5:1";

export const terminal: FileKind<TerminalState, "terminal"> = {
  name: "terminal",
  schema: terminalSchema,
  forUser: ofAnyUser,
  paths: (state, flags) => ("outside" in state ? [{ ...state.outside, flags }] : []),
  needs: () => [{ option: "CONFIG_TTY", what: "terminals" }],
  recognise: ({ stat }) =>
    stat.type === S_IF.S_IFCHR &&
    (MAJORS.has(stat.deviceNode.split(":")[0] ?? "") || stat.deviceNode === CONSOLE || stat.deviceNode === DEV_TTY),
  freeze(file) {
    if (file.stat.deviceNode === DEV_TTY) return { controllingOf: file.pid };
    const index = ptyIndex(file.stat.deviceNode);
    const master = index === undefined ? undefined : findMaster(file.context, index, file.stat.device);
    if (master) return { pty: ptyObject(master) };
    if (index !== undefined && (pollNow(file.local, POLL.POLLHUP) & POLL.POLLHUP) !== 0) return { hungUp: true };
    return { outside: outsideTerminal(file) };
  },
  check: (state) => ("outside" in state ? goneOutside(OWN_VIEW, state.outside) : undefined),
  thaw(state, context, flags) {
    const wanted = flags & ~(O.O_APPEND | O.O_ASYNC);
    if ("hungUp" in state) return openHungUp(context, wanted);
    if ("controllingOf" in state) return openControlling(state.controllingOf, context, wanted);
    return openTerminal(state, context, wanted);
  },
};

function outsideTerminal(file: OpenFile): v.InferOutput<typeof outsideSchema> {
  if (!file.link.endsWith(" (deleted)") && file.link.startsWith("/")) {
    const since = String(statSync(file.context.mounts.at(file.link), { bigint: true }).ctimeNs);
    const modes = modesOf(file.local);
    return { path: file.link, createdAt: since, device: file.stat.deviceNode, ...(modes !== undefined && { modes }) };
  }
  throw failures.TERMINAL_GONE.open({ file });
}

function modesOf(fd: LocalFd): string | undefined {
  return withStruct(TERMIOS2_SIZE, (modes, at) =>
    attempt("ioctl", fd, TTY.TCGETS2, at) < 0 ? undefined : modes.toString("base64"),
  );
}

/** Opens a terminal without making it anyone's controlling terminal. */
export function openTerminal(
  state: { readonly pty: string } | { readonly outside: v.InferOutput<typeof outsideSchema> },
  context: ThawContext,
  flags: number,
): LocalFd {
  if ("pty" in state) return context.object<PtyHandle>(state.pty).openSlave(flags);
  const gone = goneOutside(context.mounts, state.outside);
  if (gone) throw gone;
  return reopen(context, state.outside, flags | O.O_NONBLOCK);
}

/** Whether an outside terminal is still the one that it was. */
function goneOutside(
  mounts: MountView,
  { path, createdAt: since }: v.InferOutput<typeof outsideSchema>,
): Refusal | undefined {
  const now = statSync(mounts.at(path), { bigint: true, throwIfNoEntry: false });
  if (now?.isCharacterDevice() && (!path.startsWith("/dev/pts/") || String(now.ctimeNs) === since)) return undefined;
  return failures.TERMINAL_GONE.outside({ path, isTaken: now !== undefined });
}

/** What is left of a terminal whose window was closed. */
function openHungUp(context: ThawContext, flags: number): LocalFd {
  const master = openPath(ptmxPath(context.mounts), O.O_RDWR);
  try {
    ttySetInt(master, TTY.TIOCSPTLCK, 0);
    return context.keep(openPeer(master, flags));
  } finally {
    closeSync(master);
  }
}

/** /dev/tty means another terminal for every process: the one that had it open opens it. */
function openControlling(pid: number, context: ThawContext, flags: number): LocalFd {
  const process = context.process(pid);
  if (!process) throw new InconsistentImage(`process ${pid} is not in the image`);
  const path = process.scope.put(Buffer.from("/dev/tty\0"));
  const fd = process.scope.call("openat", "Opening /dev/tty", -1, path, flags | O.O_CLOEXEC | O.O_NONBLOCK, 0);
  const local = process.fetch(fd);
  process.scope.call("close", "Opening /dev/tty", fd);
  try {
    return context.keep(local);
  } catch (error) {
    closeSync(local);
    throw error;
  }
}

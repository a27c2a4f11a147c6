/**
 * What stands in a pseudo-terminal: typed and not yet read, a line that is typed by half included, and written and not
 * yet shown (n_tty of the kernel, termios(3)). No interface looks without taking, so it is taken and put back at once:
 * between the two lie some hundred microseconds, the only ones of a freeze in which the death of kmonte would be felt.
 */
import { pollNow } from "../../sys/poll.ts";
import { POLL } from "../../abi/poll.ts";
import { closeSync } from "node:fs";
import * as v from "valibot";
import { attempt, call, withStruct } from "../../sys/call.ts";
import { O } from "../../abi/fcntl.ts";
import { CC, IFLAG, LFLAG, NO_CHARACTER, OPOST, TERMIOS, TERMIOS2_SIZE, TTY } from "../../abi/tty.ts";
import { ttyGet, ttyQueued, ttySet } from "../../sys/tty.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { sleepMicroseconds } from "../../tracee/stops.ts";
import { openPath } from "../file/path-file.ts";

const base64 = v.pipe(v.string(), v.base64());
export const ptyQueueSchema = {
  /** Typed, in the order of typing; of a canonical terminal, NUL stands for the end of the file (^D). */
  input: v.optional(base64),
  /** Written by programs, as the master side is to read it. */
  output: v.optional(base64),
  /** Output is held back by tcflow(3) or by the STOP character (^S). */
  stopped: v.optional(v.picklist(["TCOOFF", "VSTOP"])),
};
export interface PtyQueue {
  readonly input?: string | undefined;
  readonly output?: string | undefined;
  readonly stopped?: "TCOOFF" | "VSTOP" | undefined;
}

const TCOOFF = 0;
const TCOON = 1;
const MOST_BYTES = 64 * 1024;
/** How long the kernel may take to move what was written to where it is read. */
const PATIENCE_MS = 1000;
const SETTLE_MICROSECONDS = 20_000;

/** Both sides are descriptors of the set; at the end everything is as it was. */
export function peekQueue(master: LocalFd, slave: LocalFd): PtyQueue {
  const own = openPath(`/proc/self/fd/${slave}`, O.O_RDWR | O.O_NONBLOCK);
  try {
    const stopped = findStopped(own);
    const output = ttyQueued(master) === 0 ? undefined : drain(master);
    const input = takeInput(own);
    const queue = {
      ...(input && { input: input.toString("base64") }),
      ...(output && { output: output.toString("base64") }),
    };
    if (input || output) fillQueue(master, own, queue);
    return { ...queue, ...(stopped && { stopped }) };
  } finally {
    closeSync(own);
  }
}

/** Puts everything where it was, without an echo, a signal or a translation. `slave` does not block. */
export function fillQueue(master: LocalFd, slave: LocalFd, { input, output, stopped }: PtyQueue): void {
  const modes = ttyGet(slave, TTY.TCGETS2, TERMIOS2_SIZE);
  if (output !== undefined) {
    const quiet = Buffer.from(modes);
    quiet.writeUInt32LE(modes.readUInt32LE(TERMIOS.OFLAG) & ~OPOST, TERMIOS.OFLAG);
    ttySet(slave, TTY.TCSETS2, quiet);
    writeAll(slave, Buffer.from(output, "base64"));
    ttySet(slave, TTY.TCSETS2, modes);
  }
  if (input !== undefined) typeAgain(master, slave, Buffer.from(input, "base64"), modes);
  if (stopped === "TCOOFF") call("ioctl", "Stopping a terminal", slave, TTY.TCXONC, TCOOFF);
  if (stopped === "VSTOP") {
    writeAll(master, modes.subarray(TERMIOS.CC + CC.VSTOP, TERMIOS.CC + CC.VSTOP + 1));
    waitUntil(() => (pollNow(slave, POLL.POLLOUT) & POLL.POLLOUT) === 0);
  }
}

/** Which of the two ways of stopping it was shows only when one of them is undone for a moment. */
function findStopped(slave: LocalFd): PtyQueue["stopped"] {
  const flows = (): boolean => (pollNow(slave, POLL.POLLOUT) & POLL.POLLOUT) !== 0;
  if (flows()) return undefined;
  call("ioctl", "Asking a terminal", slave, TTY.TCXONC, TCOON);
  if (!flows()) return "VSTOP";
  call("ioctl", "Asking a terminal", slave, TTY.TCXONC, TCOOFF);
  return "TCOOFF";
}

/** A canonical terminal gives whole lines only; without that mode it gives everything. */
function takeInput(slave: LocalFd): Buffer | undefined {
  const modes = ttyGet(slave, TTY.TCGETS2, TERMIOS2_SIZE);
  const canonical = (modes.readUInt32LE(TERMIOS.LFLAG) & LFLAG.ICANON) !== 0;
  if (!canonical) return ttyQueued(slave) === 0 ? undefined : drain(slave);
  const raw = Buffer.from(modes);
  raw.writeUInt32LE(modes.readUInt32LE(TERMIOS.LFLAG) & ~LFLAG.ICANON, TERMIOS.LFLAG);
  ttySet(slave, TTY.TCSETS2, raw);
  try {
    return ttyQueued(slave) === 0 ? undefined : drain(slave);
  } finally {
    ttySet(slave, TTY.TCSETS2, modes);
  }
}

function drain(fd: LocalFd): Buffer {
  return withStruct(MOST_BYTES, (bytes, address) => {
    let length = 0;
    // More may stand behind what fits into the terminal's own buffer: poll(2) brings it forward.
    while (length < MOST_BYTES && (ttyQueued(fd) > 0 || (pollNow(fd, POLL.POLLIN) & POLL.POLLIN) !== 0)) {
      const got = attempt("read", fd, address + length, Math.min(MOST_BYTES - length, Math.max(ttyQueued(fd), 1)));
      if (got <= 0) break;
      length += got;
    }
    return Buffer.from(bytes.subarray(0, length));
  });
}

const TRANSLATING =
  IFLAG.ISTRIP | IFLAG.INLCR | IFLAG.IGNCR | IFLAG.ICRNL | IFLAG.IUCLC | IFLAG.PARMRK | IFLAG.INPCK | IFLAG.IXANY;
const NEWLINE = 10;

function typeAgain(master: LocalFd, slave: LocalFd, input: Buffer, modes: Buffer): void {
  const canonical = (modes.readUInt32LE(TERMIOS.LFLAG) & LFLAG.ICANON) !== 0;
  const plain = Buffer.from(modes);
  plain.writeUInt32LE(modes.readUInt32LE(TERMIOS.IFLAG) & ~TRANSLATING, TERMIOS.IFLAG);
  plain.writeUInt32LE(canonical ? LFLAG.ICANON : 0, TERMIOS.LFLAG);
  // Only what ends a line is left to mean anything.
  const kept: readonly number[] = [CC.VMIN, CC.VTIME, CC.VEOF, CC.VEOL, CC.VEOL2];
  if (canonical) for (let i = 0; i < CC.COUNT; i += 1) if (!kept.includes(i)) plain[TERMIOS.CC + i] = NO_CHARACTER;
  ttySet(slave, TTY.TCSETS2, plain);
  const ends = [NEWLINE, ...[CC.VEOL, CC.VEOL2].map((i) => modes[TERMIOS.CC + i] ?? 0)].filter(
    (byte) => byte !== NO_CHARACTER,
  );
  const endOfFile = modes[TERMIOS.CC + CC.VEOF] ?? NO_CHARACTER;
  const keys = canonical ? Buffer.from(input.map((byte) => (byte === NO_CHARACTER ? endOfFile : byte))) : input;
  writeAll(master, keys);
  if (canonical) {
    const last = Math.max(...[...ends, NO_CHARACTER].map((byte) => input.lastIndexOf(byte)));
    // The kernel counts a mark of the end of the file in some versions and not in others.
    const marks = input.subarray(0, last + 1).filter((byte) => byte === NO_CHARACTER).length;
    waitUntil(() => ttyQueued(slave) >= last + 1 - marks);
    // The rest of the line is seen by nobody: poll(2) waits for it when it is all there is.
    pollNow(slave, POLL.POLLIN);
    if (last >= 0 && last + 1 < input.length) sleepMicroseconds(SETTLE_MICROSECONDS);
  } else waitUntil(() => ttyQueued(slave) >= input.length);
  ttySet(slave, TTY.TCSETS2, modes);
}

function writeAll(fd: LocalFd, bytes: Buffer): void {
  withStruct(bytes.length, (buffer, address) => {
    bytes.copy(buffer);
    for (let done = 0; done < bytes.length;) {
      done += call("write", "Filling a terminal", fd, address + done, bytes.length - done);
    }
  });
}

function waitUntil(condition: () => boolean): void {
  const deadline = Date.now() + PATIENCE_MS;
  while (!condition() && Date.now() < deadline) sleepMicroseconds(200);
}

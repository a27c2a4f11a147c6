/** What stands in a pipe or FIFO (pipe(7)), read without taking it out, and put into another one. */
import { closeSync, readSync } from "node:fs";
import * as v from "valibot";
import { SyscallError, attempt, call, withStruct } from "../../sys/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import { F, O, SPLICE_F_NONBLOCK } from "../../abi/fcntl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import { openToRead } from "../file/readable.ts";

export const pipeData = {
  /** Bytes, as F_GETPIPE_SZ gives it. */
  capacity: v.number(),
  /** O_DIRECT: writes stay separate packets. */
  packets: v.boolean(),
  /** What stands in the pipe, oldest first, one blob a packet; a stream has one. */
  data: v.array(v.string()),
};
export interface PipeData {
  readonly capacity: number;
  readonly packets: boolean;
  readonly data: string[];
}

/** Both ends of a new pipe of ours. */
export function makePipe(flags: number): readonly [read: LocalFd, write: LocalFd] {
  return withStruct(8, (bytes, address) => {
    call("pipe2", "Making a pipe", address, flags | O.O_CLOEXEC);
    return [bytes.readInt32LE(0) as LocalFd, bytes.readInt32LE(4) as LocalFd];
  });
}

/** Looks into a pipe by tee(2) into a pipe of ours of the same size. */
export function readPipe(file: OpenFile, id: string): PipeData {
  const { inode, device } = file.stat;
  const capacity = call("fcntl", "Asking for the size of a pipe", file.local, F.F_GETPIPE_SZ, 0);
  // Each end has its own mark; packets are made where one writes with it, and stay packets when that one has gone.
  const marked = file.context
    .openFiles()
    .some(([, { stat, info }]) => stat.inode === inode && stat.device === device && (info.flags & O.O_DIRECT) !== 0);
  // Opened anew for reading: the descriptor at hand may be the end that writes.
  const reader = openToRead(file.context, { ...file, via: `/proc/self/fd/${file.local}` }, O.O_NONBLOCK);
  const [from, to] = makePipe(O.O_NONBLOCK | (marked ? O.O_DIRECT : 0));
  try {
    setCapacity(to, capacity);
    const teed = attempt("tee", reader, to, capacity, SPLICE_F_NONBLOCK);
    if (teed < 0 && teed !== -ERRNO.EAGAIN) {
      throw new SyscallError("tee", teed, `Looking into a pipe of process ${file.pid}`);
    }
    const data: string[] = [];
    const buffer = Buffer.allocUnsafe(Math.max(capacity, 4096));
    for (let left = Math.max(teed, 0); left > 0;) {
      const got = readSync(from, buffer);
      if (got === 0) break;
      data.push(file.context.blob(`${id}:${data.length}`, { bytes: Buffer.from(buffer.subarray(0, got)) }));
      left -= got;
    }
    return { capacity, packets: marked || data.length > 1, data };
  } finally {
    for (const fd of [reader, from, to]) closeSync(fd);
  }
}

/** Gives an empty pipe its size and its contents. `write` blocks for no one. */
export function fillPipe(write: LocalFd, { capacity, packets, data }: PipeData, context: ThawContext): void {
  setCapacity(write, capacity);
  call("fcntl", "Preparing a pipe", write, F.F_SETFL, O.O_NONBLOCK | (packets ? O.O_DIRECT : 0));
  for (const name of data) {
    const bytes = context.blob(name);
    const written = withStruct(bytes.length, (buffer, address) => {
      bytes.copy(buffer);
      return call("write", "Filling a pipe", write, address, bytes.length);
    });
    if (written !== bytes.length) throw new Error(`pipe took ${written} of ${bytes.length} bytes`);
  }
  call("fcntl", "Preparing a pipe", write, F.F_SETFL, 0);
}

/** Asked for only where it differs: sizes above the default are counted (pipe-user-pages-soft). */
function setCapacity(fd: LocalFd, capacity: number): void {
  if (call("fcntl", "Asking for the size of a pipe", fd, F.F_GETPIPE_SZ, 0) === capacity) return;
  call("fcntl", "Sizing a pipe", fd, F.F_SETPIPE_SZ, capacity);
}

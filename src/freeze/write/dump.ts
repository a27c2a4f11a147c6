/** Copying a stopped process's memory into its core file: process_vm_readv(2) and pwrite(2), 1 MiB at a time: what was read is still in the cache when it is written. */
import { SyscallError, attempt } from "../../sys/call.ts";
import { NativeBuffer } from "../../sys/ffi.unsafe.ts";
import { ERRNO } from "../../abi/errno.ts";
import type { Output } from "../../image/output.ts";
import { remoteAddress, type Task } from "../../lib/brand.ts";
import { TraceeMemory } from "../../tracee/memory.ts";
import type { Extent } from "../../image/core/file.ts";

const CHUNK = 1024 * 1024;
/** UIO_MAXIOV: the most pieces in one process_vm_readv. */
const MOST_PIECES = 1024;
const IOVEC = 16;

interface Window {
  readonly address: number;
  readonly offset: number;
  readonly length: number;
}

/** Copies all extents, in order; after each piece of work tells `onBytes` how much it was. */
export function dumpMemory(
  task: Task,
  extents: readonly Extent[],
  core: Output,
  onBytes: (bytes: number) => void,
): void {
  using buffer = new NativeBuffer(CHUNK);
  using vectors = new NativeBuffer(MOST_PIECES * IOVEC + IOVEC);
  let batch: Window[] = [];
  let filled = 0;
  const flush = (): void => {
    if (batch.length === 0) return;
    readWindows(task, batch, filled, buffer, vectors);
    writeWindows(batch, buffer, core);
    onBytes(filled);
    batch = [];
    filled = 0;
  };
  for (const extent of extents) {
    for (let done = 0; done < extent.length;) {
      const length = Math.min(extent.length - done, CHUNK - filled);
      batch.push({ address: extent.address + done, offset: extent.offset + done, length });
      filled += length;
      done += length;
      if (filled === CHUNK || batch.length === MOST_PIECES) flush();
    }
  }
  flush();
}

function readWindows(
  task: Task,
  batch: readonly Window[],
  total: number,
  buffer: NativeBuffer,
  vectors: NativeBuffer,
): void {
  vectors.bytes.writeBigUInt64LE(BigInt(buffer.address), 0);
  vectors.bytes.writeBigUInt64LE(BigInt(total), 8);
  batch.forEach((window, i) => {
    vectors.bytes.writeBigUInt64LE(BigInt(window.address), IOVEC + i * IOVEC);
    vectors.bytes.writeBigUInt64LE(BigInt(window.length), IOVEC + i * IOVEC + 8);
  });
  const got = attempt("process_vm_readv", task, vectors.address, 1, vectors.address + IOVEC, batch.length, 0);
  if (got === total) return;
  if (got < 0 && got !== -ERRNO.EFAULT) {
    throw new SyscallError("process_vm_readv", got, `Reading the memory of process ${task}`, task);
  }
  // A page that the program itself may not read stands in the way: /proc/PID/mem reads past protections.
  using memory = new TraceeMemory(task);
  let at = 0;
  for (const window of batch) {
    memory.read(remoteAddress(window.address), window.length).copy(buffer.bytes, at);
    at += window.length;
  }
}

/** Neighbouring pieces go out in one write. */
function writeWindows(batch: readonly Window[], buffer: NativeBuffer, core: Output): void {
  let at = 0;
  for (let i = 0; i < batch.length;) {
    const first = batch[i] as Window;
    let length = first.length;
    let next = i + 1;
    while (next < batch.length && (batch[next] as Window).offset === first.offset + length) {
      length += (batch[next] as Window).length;
      next += 1;
    }
    core.putNative(buffer, at, length, first.offset);
    at += length;
    i = next;
  }
}

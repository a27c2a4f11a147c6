/** Contexts of asynchronous I/O at their old addresses (io_setup(2)): the kernel lets their rings be moved. */
import { closeSync } from "node:fs";
import { MREMAP, PAGE_SIZE } from "../../abi/mman.ts";
import { O } from "../../abi/fcntl.ts";
import { remoteAddress } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import { unhex } from "../../lib/hex.ts";
import type { ThawProcess } from "../thaw-context.ts";
import { AIO_RING, IO_EVENT_SIZE } from "../../abi/aio.ts";
import { AIO_PREFIX, type AioState } from "./aio.ts";
import { openPath } from "../file/path-file.ts";
import type { MappingState } from "../memory/mappings.ts";

export function isAio(mapping: MappingState): boolean {
  return mapping.backing?.object.startsWith(AIO_PREFIX) === true;
}

/** Struct iocb (linux/aio_abi.h): a read of nothing. */
const IOCB_SIZE = 64;
const IOCB_FILE = 20;
/** Requests that one io_submit(2) of ours makes. */
const STEP = 32;

export function placeAio(process: ThawProcess, { start, end, backing }: MappingState): void {
  if (!backing) return;
  const { scope, context } = process;
  const state = context.object<AioState>(backing.object);
  const at = unhex(start);
  const length = unhex(end) - at;
  const about = `Making a context of asynchronous I/O at ${start}`;
  // The kernel doubles what is asked for, adds two, and fills whole pages.
  const requests = Math.floor((state.size - 2) / 2);
  scope.call("io_setup", about, requests, scope.put(Buffer.alloc(8)));
  const made = Number(scope.take(8).readBigUInt64LE());
  const size = scope.memory.read(remoteAddress(made), AIO_RING.SIZE).readUInt32LE(AIO_RING.NR);
  if (size !== state.size || AIO_RING.SIZE + size * IO_EVENT_SIZE > Math.ceil(length / PAGE_SIZE) * PAGE_SIZE) {
    throw failures.AIO_SIZE({ got: size, wanted: state.size });
  }
  scope.call("mremap", about, made, length, length, MREMAP.MREMAP_MAYMOVE | MREMAP.MREMAP_FIXED, at);
  const local = openPath("/dev/null", O.O_RDWR);
  try {
    process.lend(local, (fd) => countUp(process, at, fd, state));
  } finally {
    closeSync(local);
  }
  scope.memory.write(remoteAddress(at + AIO_RING.SIZE), Buffer.from(state.events, "base64"));
}

/** The kernel counts for itself where it stands: so many reads of nothing bring it there, the first ones taken. */
function countUp(process: ThawProcess, at: number, fd: number, { head, tail, size }: AioState): void {
  const pending = (tail - head + size) % size;
  let done = 0;
  const advance = (upTo: number, taken: boolean): void => {
    while (done < upTo) {
      const part = Math.min(STEP, upTo - done, Math.max(1, Math.floor((size - 2) / 2)));
      submit(process, at, fd, part);
      done += part;
      if (taken) writeWord(process, at + AIO_RING.HEAD, done % size);
    }
  };
  advance(head, true);
  advance(head + pending, false);
}

function submit({ scope }: ThawProcess, context: number, fd: number, count: number): void {
  const request = Buffer.alloc(IOCB_SIZE);
  request.writeUInt32LE(fd, IOCB_FILE);
  const at = scope.put(request, STEP * 8);
  const list = Buffer.alloc(count * 8);
  for (let i = 0; i < count; i += 1) list.writeBigUInt64LE(BigInt(at), i * 8);
  for (let done = 0; done < count;) {
    scope.put(list.subarray(done * 8));
    done += scope.call("io_submit", "Counting a context of asynchronous I/O up", context, count - done, scope.scratch);
  }
}

function writeWord({ scope }: ThawProcess, at: number, value: number): void {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(value);
  scope.memory.write(remoteAddress(at), word);
}

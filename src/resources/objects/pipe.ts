/** A pipe (pipe(7)): what stands in it, and how large it is. Its two ends are open files of their own. */
import { readSync } from 'node:fs';
import * as v from 'valibot';
import { attempt, call, SyscallError, withStruct } from '../../abi/call.ts';
import { ERRNO } from '../../abi/errno.ts';
import { F, O } from '../../abi/fcntl.ts';
import type { LocalFd } from '../../lib/brand.ts';
import type { ObjectKind, OpenFile, ThawContext } from '../contract.ts';
import { openPath } from './path-file.ts';

const schema = v.strictObject({
  kind: v.literal('pipe'),
  /** Bytes, as F_GETPIPE_SZ gives it. */
  capacity: v.number(),
  /** O_DIRECT: writes stay separate packets. */
  packets: v.boolean(),
  /** What stands in the pipe, oldest first, one blob a packet; a stream has one. */
  data: v.array(v.string()),
});
export type PipeState = v.InferOutput<typeof schema>;

export interface PipeHandle {
  /** Opens one end: a new open file description. */
  open(flags: number): LocalFd;
}

const SPLICE_F_NONBLOCK = 2;

/** Both ends of a new pipe of ours. */
export function makePipe(flags: number): readonly [read: LocalFd, write: LocalFd] {
  return withStruct(8, (bytes, address) => {
    call('pipe2', 'Making a pipe', address, flags | O.O_CLOEXEC);
    return [bytes.readInt32LE(0) as LocalFd, bytes.readInt32LE(4) as LocalFd];
  });
}

/** Looks into a pipe without taking anything out, by tee(2) into a pipe of ours. */
export function freezePipe(file: OpenFile, id: string): PipeState {
  const capacity = call('fcntl', 'Asking for the size of a pipe', file.local, F.F_GETPIPE_SZ, 0);
  // Opened anew for reading: the descriptor at hand may be the end that writes.
  const reader = file.context.keep(openPath(`/proc/self/fd/${file.local}`, O.O_NONBLOCK));
  const packets = (file.info.flags & O.O_DIRECT) !== 0;
  const [from, to] = makePipe(O.O_NONBLOCK | (packets ? O.O_DIRECT : 0));
  file.context.keep(from);
  file.context.keep(to);
  call('fcntl', 'Sizing a pipe', to, F.F_SETPIPE_SZ, capacity);
  const teed = attempt('tee', reader, to, capacity, SPLICE_F_NONBLOCK);
  if (teed < 0 && teed !== -ERRNO.EAGAIN) {
    throw new SyscallError('tee', teed, `Looking into a pipe of process ${file.pid}`);
  }
  const data: string[] = [];
  const buffer = Buffer.allocUnsafe(Math.max(capacity, 4096));
  let left = Math.max(teed, 0);
  while (left > 0) {
    const got = readSync(from, buffer);
    if (got === 0) break;
    data.push(file.context.blob(`${id}:${data.length}`, { bytes: Buffer.from(buffer.subarray(0, got)) }));
    left -= got;
  }
  return { kind: 'pipe', capacity, packets, data };
}

export const pipe: ObjectKind<PipeState, PipeHandle> = {
  name: 'pipe',
  schema,
  thaw(state, context: ThawContext): PipeHandle {
    const [read, write] = makePipe(state.packets ? O.O_DIRECT : 0);
    context.keep(read);
    context.keep(write);
    call('fcntl', 'Sizing a pipe', write, F.F_SETPIPE_SZ, state.capacity);
    for (const name of state.data) {
      const bytes = context.blob(name);
      const written = withStruct(bytes.length, (buffer, address) => {
        bytes.copy(buffer);
        return call('write', 'Filling a pipe', write, address, bytes.length);
      });
      if (written !== bytes.length) throw new Error(`pipe took ${written} of ${bytes.length} bytes`);
    }
    return { open: (flags) => openPath(`/proc/self/fd/${read}`, flags & ~O.O_DIRECT) };
  },
};

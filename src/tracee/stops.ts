/** Waiting for a tracee to stop. */
import { attempt, withStruct } from '../abi/call.ts';
import { wait4, WAIT, type WaitStatus } from '../abi/wait.ts';
import { KmonteError } from '../lib/errors.ts';

export type Stop = Extract<WaitStatus, { state: 'stopped' }>;

/** A tracee ended while it was ours: killed from outside, most likely. */
export class TraceeGone extends KmonteError {
  override readonly name = 'TraceeGone';
  readonly tid: number;

  constructor(tid: number) {
    super(
      'TRACEE_GONE',
      {
        what: `Task ${tid} ended while kmonte held it.`,
        why: 'Something outside killed it.',
        remedy: 'Run the command again for the processes that are left.',
      },
      { facts: { tid } },
    );
    this.tid = tid;
  }
}

/** Waits until `tid` stops, however long it takes: for tracees that are known to run towards a stop. */
export function waitForStop(tid: number): Stop {
  const status = wait4(tid, WAIT.WALL);
  if (typeof status === 'object' && status.state === 'stopped') return status;
  throw new TraceeGone(tid);
}

/** Looks once whether `tid` has stopped; undefined when it has not. */
export function pollStop(tid: number): Stop | undefined {
  const status = wait4(tid, WAIT.WALL | WAIT.WNOHANG);
  if (status === undefined) return undefined;
  if (typeof status === 'object' && status.state === 'stopped') return status;
  throw new TraceeGone(tid);
}

/** Sleeps in the kernel for a number of microseconds, without returning to the event loop. */
export function sleepMicroseconds(microseconds: number): void {
  withStruct(16, (bytes, address) => {
    bytes.writeBigInt64LE(BigInt(Math.floor(microseconds / 1e6)), 0);
    bytes.writeBigInt64LE(BigInt(Math.round((microseconds % 1e6) * 1000)), 8);
    attempt('nanosleep', address, 0);
  });
}

/** Clocks and timers (time(7), include/uapi/linux/time.h). */
import type { FlagTable } from "../lib/flags.ts";
import { call, withStruct } from "./call.ts";

export const CLOCK = {
  CLOCK_REALTIME: 0,
  CLOCK_MONOTONIC: 1,
  CLOCK_PROCESS_CPUTIME_ID: 2,
  CLOCK_THREAD_CPUTIME_ID: 3,
  CLOCK_BOOTTIME: 7,
  CLOCK_REALTIME_ALARM: 8,
  CLOCK_BOOTTIME_ALARM: 9,
  CLOCK_TAI: 11,
} as const satisfies FlagTable;

const NANOSECONDS = 1_000_000_000n;

/** clock_gettime(2) in this process's time namespace, in nanoseconds. */
export function clockNow(clock: number): bigint {
  return withStruct(16, (bytes, address) => {
    call("clock_gettime", "Reading a clock", clock, address);
    return decodeTimespec(bytes);
  });
}

/** struct timespec: two 64-bit words, seconds and nanoseconds. */
export function decodeTimespec(bytes: Buffer, offset = 0): bigint {
  return bytes.readBigInt64LE(offset) * NANOSECONDS + bytes.readBigInt64LE(offset + 8);
}

export function encodeTimespec(nanoseconds: bigint): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigInt64LE(nanoseconds / NANOSECONDS, 0);
  bytes.writeBigInt64LE(nanoseconds % NANOSECONDS, 8);
  return bytes;
}

/** struct itimerspec: the interval first, then the value. */
export function encodeItimerspec(interval: bigint, value: bigint): Buffer {
  return Buffer.concat([encodeTimespec(interval), encodeTimespec(value)]);
}

/** Clocks and timers (time(7), include/uapi/linux/time.h). */
import type { FlagTable } from "../lib/flags.ts";

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

/** Bytes of struct itimerspec. */
export const ITIMERSPEC_SIZE = 32;

export const TFD = { TFD_TIMER_ABSTIME: 1, TFD_TIMER_CANCEL_ON_SET: 2 } as const;
/** _IOW('T', 0, __u64) (include/uapi/linux/timerfd.h). */
export const TFD_IOC_SET_TICKS = 0x40085400;

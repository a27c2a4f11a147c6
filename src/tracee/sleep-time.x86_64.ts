/** How long a call asked to wait, and what the kernel has said of the time that is left. */
import { decodeTimespec, encodeTimespec } from "../abi/time.ts";
import { remoteAddress } from "../lib/brand.ts";
import type { InterruptedCall, RewritingCall } from "./interrupted-call.x86_64.ts";
import type { TraceeMemory } from "./memory.ts";

const TIMER_ABSTIME = 1n;
const FUTEX_COMMAND = 0x7fn;
const FUTEX_WAIT = 0n;

/** Which argument holds a timespec with the time to wait, and which one takes the rest, by call. */
const TIMES = { nanosleep: [0, 1], clock_nanosleep: [2, 3], futex: [3, -1] } as const;

/**
 * Nanoseconds that the call asked to wait for; undefined when it waits for ever or until a moment of a clock, so that
 * making it again means the same.
 */
export function requestedTime(call: InterruptedCall, memory: TraceeMemory): bigint | undefined {
  const { name, args } = call;
  if (name === "poll") {
    const milliseconds = BigInt.asIntN(32, args[2] ?? 0n);
    return milliseconds < 0n ? undefined : milliseconds * 1_000_000n;
  }
  if (name === "clock_nanosleep" && ((args[1] ?? 0n) & TIMER_ABSTIME) !== 0n) return undefined;
  if (name === "futex" && ((args[1] ?? 0n) & FUTEX_COMMAND) !== FUTEX_WAIT) return undefined;
  return readTimespec(args[TIMES[name][0]] ?? 0n, memory);
}

/** What nanosleep(2) wrote to its second argument, as every interruption makes it do; undefined when it had none. */
export function reportedRest(call: InterruptedCall, memory: TraceeMemory): bigint | undefined {
  if (call.name !== "nanosleep" && call.name !== "clock_nanosleep") return undefined;
  return readTimespec(call.args[TIMES[call.name][1]] ?? 0n, memory);
}

const REWRITTEN = { ppoll: 2, pselect6: 4, select: 4 } as const;

/** What ppoll(2), pselect(2) and select(2) have left in their timeout; undefined when they wait for ever. */
export function rewrittenRest(
  { name, args }: InterruptedCall<RewritingCall>,
  memory: TraceeMemory,
): bigint | undefined {
  const value = readTimespec(args[REWRITTEN[name]] ?? 0n, memory);
  if (value === undefined || name !== "select") return value;
  // struct timeval counts microseconds in its second word.
  const seconds = value / 1_000_000_000n;
  return seconds * 1_000_000_000n + (value - seconds * 1_000_000_000n) * 1000n;
}

/** Writes what is left now to where the call reads it from when it is made again. */
export function rewriteRest(call: InterruptedCall<RewritingCall>, memory: TraceeMemory, rest: bigint): void {
  const bytes = encodeTimespec(rest);
  if (call.name === "select") bytes.writeBigInt64LE(bytes.readBigInt64LE(8) / 1000n, 8);
  memory.write(remoteAddress(Number(call.args[REWRITTEN[call.name]])), bytes);
}

function readTimespec(address: bigint, memory: TraceeMemory): bigint | undefined {
  if (address === 0n) return undefined;
  try {
    return decodeTimespec(memory.read(remoteAddress(Number(address)), 16));
  } catch {
    return undefined;
  }
}

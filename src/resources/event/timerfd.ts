/** timerfd_create(2): a timer that is read. */
import { TFD, TFD_IOC_SET_TICKS } from "../../abi/time.ts";
import * as v from "valibot";
import { readFileSync } from "../../sys/files.ts";
import { attempt, call, withStruct } from "../../sys/call.ts";
import { CLOCK, encodeItimerspec } from "../../abi/time.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { formatFlags, nameOf, parseFlags } from "../../lib/flags.ts";
import { fdInfoValue, parseFdInfo, type FdInfo } from "../../proc/fdinfo.ts";
import { settledTime } from "../remaining-time.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { FileKind } from "../contract.ts";
import { wakesNobody } from "../ordinary-user.ts";

const nanoseconds = v.pipe(v.string(), v.regex(/^\d+$/));

const schema = v.strictObject({
  clock: v.picklist(Object.keys(CLOCK) as (keyof typeof CLOCK)[]),
  /** Flags of the last timerfd_settime. */
  settime: v.string(),
  /** Time until the next expiration and between expirations, in nanoseconds; 0 is off. */
  remaining: nanoseconds,
  interval: nanoseconds,
  /** Expirations that were not read yet. */
  ticks: v.number(),
});
type TimerFdState = v.InferOutput<typeof schema>;

export const timerFd: FileKind<TimerFdState, "timerfd"> = {
  name: "timerfd",
  schema,
  forUser: ({ clock }) => wakesNobody([clock]),
  needs: () => [{ option: "CONFIG_TIMERFD", what: "timerfd_create(2)" }],
  recognise: (file) => file.link === "anon_inode:[timerfd]",
  freeze(file) {
    const { info, remaining } = readTimer(file.local);
    const value = (name: string): string => fdInfoValue(info, name) ?? "0";
    return {
      clock: (nameOf(CLOCK, Number(value("clockid"))) ?? "CLOCK_MONOTONIC") as TimerFdState["clock"],
      settime: formatFlags(TFD, Number.parseInt(value("settime flags"), 8)),
      remaining: settledTime.write(file.context, remaining).toString(),
      interval: parsePair(value("it_interval")).toString(),
      ticks: Number(value("ticks")),
    };
  },
  thaw(state, context) {
    const fd = call("timerfd_create", `Making a timer on ${state.clock}`, CLOCK[state.clock], 0) as LocalFd;
    context.keep(fd);
    context.during("arm", () => arm(fd, state, context));
    return fd;
  },
};

/**
 * The kernel counts missed expirations, and sets a periodic timer anew, when someone asks for the time that is left;
 * only then fdinfo tells all. A timer that expires between the two looks as if nobody had set it.
 */
function readTimer(fd: LocalFd): { readonly info: FdInfo; readonly remaining: bigint } {
  const wasSet = withStruct(32, (bytes, address) => {
    call("timerfd_gettime", "Asking a timer", fd, address);
    return !bytes.subarray(16).equals(Buffer.alloc(16));
  });
  const info = parseFdInfo(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"));
  const remaining = parsePair(fdInfoValue(info, "it_value") ?? "");
  const interval = parsePair(fdInfoValue(info, "it_interval") ?? "");
  const expired = fdInfoValue(info, "ticks") !== "0";
  if (remaining > 0n || !(wasSet || expired)) return { info, remaining };
  if (interval > 0n) return { info, remaining: interval };
  return { info, remaining: expired ? 0n : 1n };
}

/** `(seconds, nanoseconds)` of fdinfo. */
function parsePair(text: string): bigint {
  const [, seconds = "0", rest = "0"] = /\((\d+),\s*(\d+)\)/.exec(text) ?? [];
  return BigInt(seconds) * 1_000_000_000n + BigInt(rest);
}

function arm(fd: LocalFd, state: TimerFdState, context: ThawContext): void {
  const flags = parseFlags(TFD, state.settime);
  const onWallClock = state.clock.startsWith("CLOCK_REALTIME") && (flags & TFD.TFD_TIMER_ABSTIME) !== 0;
  const remaining = BigInt(state.remaining);
  // A deadline of the wall clock stays where it was; every other clock goes on from where it stopped.
  const value =
    onWallClock && remaining > 0n ? context.clocks.realtimeAtFreeze + remaining : settledTime.read(context, remaining);
  withStruct(32, (bytes, address) => {
    encodeItimerspec(BigInt(state.interval), value).copy(bytes);
    call("timerfd_settime", "Setting a timer", fd, onWallClock ? flags : flags & ~TFD.TFD_TIMER_ABSTIME, address, 0);
  });
  if (state.ticks > 0) {
    withStruct(8, (bytes, address) => {
      bytes.writeBigUInt64LE(BigInt(state.ticks));
      // Needs CONFIG_CHECKPOINT_RESTORE, which thawing needs anyway.
      attempt("ioctl", fd, TFD_IOC_SET_TICKS, address);
    });
  }
}

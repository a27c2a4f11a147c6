/** The clocks of a set when it was stopped, as its processes read them (time_namespaces(7)). */
import { readFileSync } from "node:fs";
import { taskOf } from "../abi/living.ts";
import { CLOCK, clockNow } from "../abi/time.ts";
import type { FrozenState } from "../image/schema.ts";
import type { StoppedSet } from "./stop.ts";

export function readClocks(set: StoppedSet): FrozenState["clocks"] {
  const first = [...set.processes.values()].find((process) => !process.zombie);
  const offsets = first ? readClockOffsets(first.pid) : { monotonic: 0n, boottime: 0n };
  return {
    realtime: String(clockNow(CLOCK.CLOCK_REALTIME)),
    monotonic: String(clockNow(CLOCK.CLOCK_MONOTONIC) + offsets.monotonic),
    boottime: String(clockNow(CLOCK.CLOCK_BOOTTIME) + offsets.boottime),
  };
}

/** The offsets of a process's time namespace against ours, in nanoseconds (time_namespaces(7)). */
function readClockOffsets(pid: number): { monotonic: bigint; boottime: bigint } {
  const read = (who: number | "self"): Map<string, bigint> => {
    const offsets = new Map<string, bigint>();
    for (const line of readFileSync(`/proc/${who === "self" ? who : taskOf(who)}/timens_offsets`, "utf8")
      .trim()
      .split("\n")) {
      const [clock = "", seconds = "0", nanoseconds = "0"] = line.trim().split(/\s+/);
      offsets.set(clock, BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds));
    }
    return offsets;
  };
  const theirs = read(pid);
  const ours = read("self");
  const difference = (clock: string): bigint => (theirs.get(clock) ?? 0n) - (ours.get(clock) ?? 0n);
  return { monotonic: difference("monotonic"), boottime: difference("boottime") };
}

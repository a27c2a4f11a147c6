/** /proc/PID/timens_offsets (time_namespaces(7)). */
import type { Task } from "../lib/brand.ts";
import { procPath } from "../sys/task.ts";
import { readFileSync } from "node:fs";

/** Nanoseconds that clocks are ahead of the machine's. */
export interface TimeOffsets {
  readonly monotonic: bigint;
  readonly boottime: bigint;
}

/** Those of the time namespace that the children of a process are cloned into, which is its own as a rule. */
export function readTimeOffsets(task: Task | "self"): TimeOffsets {
  const offsets = new Map<string, bigint>();
  const text = readFileSync(procPath(task, "timens_offsets"), "utf8");
  for (const line of text.trim().split("\n")) {
    const [clock = "", seconds = "0", nanoseconds = "0"] = line.trim().split(/\s+/);
    offsets.set(clock, BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds));
  }
  return { monotonic: offsets.get("monotonic") ?? 0n, boottime: offsets.get("boottime") ?? 0n };
}

/** What the kernel wants to be written: seconds of either sign, and nanoseconds from 0 to 999,999,999. */
export function formatTimeOffsets({ monotonic, boottime }: TimeOffsets): string {
  return `${offsetLine("monotonic", monotonic)}${offsetLine("boottime", boottime)}`;
}

function offsetLine(clock: string, nanoseconds: bigint): string {
  const second = 1_000_000_000n;
  const rest = ((nanoseconds % second) + second) % second;
  return `${clock} ${(nanoseconds - rest) / second} ${rest}\n`;
}

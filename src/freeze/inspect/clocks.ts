/**
 * The clocks of a set when it was stopped, as its processes read them (time_namespaces(7)). Its members may live in
 * several time namespaces: each thaw makes one.
 */
import { namespaceOf } from "../../sys/namespaces.ts";
import { CLOCK } from "../../abi/time.ts";
import { clockNow } from "../../sys/time.ts";
import type { Task } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { readStat } from "../../proc/read.ts";
import { readTimeOffsets, type TimeOffsets } from "../../proc/time-offsets.ts";
import type { FrozenProcess, FrozenState } from "../../image/schema.ts";
import type { StoppedProcess, StoppedSet } from "../stop/stopped-set.ts";

type Clocks = FrozenState["clocks"];

export class SetClocks {
  readonly clocks: Clocks;
  readonly #set: StoppedSet;
  /** The namespace of the first process, which those have that say nothing else. */
  readonly #first: string | undefined;
  readonly #offsets = new Map<string, TimeOffsets>();

  constructor(set: StoppedSet) {
    this.#set = set;
    const living = [...set.processes.values()].filter((process) => !process.zombie);
    const now = {
      realtime: clockNow(CLOCK.CLOCK_REALTIME),
      monotonic: clockNow(CLOCK.CLOCK_MONOTONIC),
      boottime: clockNow(CLOCK.CLOCK_BOOTTIME),
    };
    const ours = readTimeOffsets("self");
    this.#offsets.set(timeOf("self").children, ours);
    for (const { task } of living) this.#offsets.set(timeOf(task).children, readTimeOffsets(task));
    const clocksOf = (name: string): { monotonic: string; boottime: string } => {
      const offsets = this.#offsets.get(name) ?? ours;
      return {
        monotonic: String(now.monotonic + offsets.monotonic - ours.monotonic),
        boottime: String(now.boottime + offsets.boottime - ours.boottime),
      };
    };
    const first = living[0] ? timeOf(living[0].task).own : timeOf("self").own;
    this.#first = first;
    const names = new Set(living.flatMap(({ task }) => Object.values(timeOf(task))).filter((name) => name !== first));
    const others = [...names].map((name) => [name, clocksOf(name)] as const);
    this.clocks = {
      realtime: String(now.realtime),
      ...clocksOf(first),
      ...(others.length > 0 && { timeNamespaces: Object.fromEntries(others) }),
    };
  }

  /** The time namespaces of a process, where they are not the usual ones. */
  of(task: Task): Pick<FrozenProcess, "timeNamespace" | "timeNamespaceForChildren"> {
    const { own, children } = timeOf(task);
    return {
      ...(own !== this.#first && { timeNamespace: own }),
      ...(children !== own && { timeNamespaceForChildren: children }),
    };
  }

  /** What stands in the way of putting a process into its time namespaces again. */
  refusalFor({ pid, task, stat, threads }: StoppedProcess): Refusal | undefined {
    const { own, children } = timeOf(task);
    const because = (why: string): Refusal => failures.TIME_NAMESPACE({ pid, command: stat.comm, why });
    if (!this.#offsets.has(own)) return because(`Nobody is left from whom the clocks of ${own} could be learnt`);
    const above = this.#set.processes.get(stat.ppid);
    const before = above && !above.zombie ? timeOf(above.task).children : this.#first;
    // Only root may go into a time namespace. A process enters its user namespace after that, unless it was cloned there, as
    // those of a pid namespace may be that belongs to one.
    const isBornAbove = ["user", "pid"].some((type) => namespaceOf(task, type) === namespaceOf("self", type));
    if (own !== before && !isBornAbove)
      return because(`It lives in ${own} and in a user namespace of its own, and was not cloned into ${own}`);
    if (children === own) return undefined;
    const born = `Its children will be cloned into ${children}`;
    if (threads.length > 1) return because(`${born}, and it has ${threads.length} threads`);
    const stranger = [...this.#set.processes.values()].find(
      (other) => !other.zombie && timeOf(other.task).own === children && !isBelow(other.pid, pid),
    );
    return stranger && because(`${born}, where process ${stranger.pid} lives, which it has not started`);
  }
}

interface Times {
  readonly own: string;
  readonly children: string;
}

function timeOf(task: Task | "self"): Times {
  const own = namespaceOf(task, "time") ?? "";
  return { own, children: namespaceOf(task, "time_for_children") ?? own };
}

function isBelow(pid: number, ancestor: number): boolean {
  for (let at = readStat(pid)?.ppid ?? 0; at > 0; at = readStat(at)?.ppid ?? 0) if (at === ancestor) return true;
  return false;
}

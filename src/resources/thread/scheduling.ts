/** When a thread runs: policy, priority, affinity, I/O priority, timer slack (sched(7), ioprio_set(2)). */
import * as v from "valibot";
import { readFileSync } from "../../sys/files.ts";
import { cpusOf, setAffinity } from "../../sys/affinity.ts";
import { call, withStruct } from "../../sys/call.ts";
import { IOPRIO_CLASS_RT, IOPRIO_CLASS_SHIFT, IOPRIO_WHO_PROCESS, PRIO_PROCESS } from "../../abi/priority.ts";
import { PR } from "../../abi/prctl.ts";
import type { ThreadResource } from "../contract.ts";

const schema = v.strictObject({
  policy: v.picklist([
    "SCHED_OTHER",
    "SCHED_FIFO",
    "SCHED_RR",
    "SCHED_BATCH",
    "SCHED_IDLE",
    "SCHED_DEADLINE",
    "SCHED_EXT",
  ]),
  resetOnFork: v.boolean(),
  nice: v.number(),
  realtimePriority: v.number(),
  /** SCHED_DEADLINE: nanoseconds. */
  runtime: v.string(),
  deadline: v.string(),
  period: v.string(),
  /** SCHED_FLAG_RECLAIM and SCHED_FLAG_DL_OVERRUN. */
  deadlineFlags: v.optional(v.number()),
  /** The least and the most of a processor that it may be taken to need, of 1024; absent when nothing was said. */
  utilization: v.optional(v.tuple([v.number(), v.number()])),
  /** CPU numbers; absent when the thread may run on all. */
  affinity: v.optional(v.array(v.number())),
  ioPriority: v.number(),
  timerSlackNs: v.number(),
});
type Scheduling = v.InferOutput<typeof schema>;

/** Policy numbers of include/uapi/linux/sched.h; 4 is not used. */
const POLICIES = [
  "SCHED_OTHER",
  "SCHED_FIFO",
  "SCHED_RR",
  "SCHED_BATCH",
  undefined,
  "SCHED_IDLE",
  "SCHED_DEADLINE",
  "SCHED_EXT",
];
/** struct sched_attr of 56 bytes (sched_setattr(2)). */
const ATTR_SIZE = 56;
const RESET_ON_FORK = 1n;
const DEADLINE_FLAGS = 6n;
const UTIL_CLAMP = 0x60n;
const UTIL_MOST = 1024;
const REALTIME: readonly Scheduling["policy"][] = ["SCHED_FIFO", "SCHED_RR", "SCHED_DEADLINE"];
/** Policies that need no right of their own (sched(7)). */
const OF_ANY_USER: ReadonlySet<Scheduling["policy"]> = new Set(["SCHED_OTHER", "SCHED_BATCH", "SCHED_IDLE"]);

export const scheduling: ThreadResource<Scheduling, "scheduling"> = {
  name: "scheduling",
  schema,
  *forUser({ policy, nice, ioPriority }) {
    if (!OF_ANY_USER.has(policy)) yield `It is scheduled with ${policy}.`;
    if (nice < 0) yield `It has the nice value ${nice}.`;
    if (ioPriority >> IOPRIO_CLASS_SHIFT === IOPRIO_CLASS_RT) yield "It has a real-time I/O priority.";
  },
  asks: { bytes: 0, calls: () => ({ timerSlack: ["prctl", PR.GET_TIMERSLACK] }) },
  freeze({ tid }, answers) {
    return {
      ...withStruct(ATTR_SIZE, (bytes, address) => {
        call("sched_getattr", `Asking for the scheduling of thread ${tid}`, tid, address, ATTR_SIZE, 0);
        return {
          policy: POLICIES[bytes.readUInt32LE(4)] as Scheduling["policy"],
          resetOnFork: (bytes.readBigUInt64LE(8) & RESET_ON_FORK) !== 0n,
          nice: niceOf(tid),
          realtimePriority: bytes.readUInt32LE(20),
          runtime: bytes.readBigUInt64LE(24).toString(),
          deadline: bytes.readBigUInt64LE(32).toString(),
          period: bytes.readBigUInt64LE(40).toString(),
          ...((bytes.readBigUInt64LE(8) & DEADLINE_FLAGS) !== 0n && {
            deadlineFlags: Number(bytes.readBigUInt64LE(8) & DEADLINE_FLAGS),
          }),
          ...utilizationOf(bytes.readUInt32LE(48), bytes.readUInt32LE(52)),
        };
      }),
      ...readAffinity(tid),
      ioPriority: call("ioprio_get", `Asking for the I/O priority of thread ${tid}`, IOPRIO_WHO_PROCESS, tid),
      timerSlackNs: answers.result("timerSlack"),
    };
  },
  thaw({ tid, scope }, state) {
    withStruct(ATTR_SIZE, (bytes, address) => {
      bytes.writeUInt32LE(ATTR_SIZE, 0);
      bytes.writeUInt32LE(POLICIES.indexOf(state.policy), 4);
      const flags = (state.resetOnFork ? RESET_ON_FORK : 0n) | BigInt(state.deadlineFlags ?? 0);
      bytes.writeBigUInt64LE(flags | (state.utilization ? UTIL_CLAMP : 0n), 8);
      state.utilization?.forEach((value, i) => bytes.writeUInt32LE(value, 48 + i * 4));
      bytes.writeInt32LE(state.nice, 16);
      bytes.writeUInt32LE(state.realtimePriority, 20);
      bytes.writeBigUInt64LE(BigInt(state.runtime), 24);
      bytes.writeBigUInt64LE(BigInt(state.deadline), 32);
      bytes.writeBigUInt64LE(BigInt(state.period), 40);
      call("sched_setattr", `Setting the scheduling of thread ${tid}`, tid, address, 0);
    });
    // A policy in real time keeps the nice value that a thread will have without it, and sched_setattr(2) leaves it.
    if (REALTIME.includes(state.policy) && state.nice !== 0) {
      call("setpriority", `Setting the nice value of thread ${tid}`, PRIO_PROCESS, tid, state.nice);
    }
    if (state.affinity) setAffinity(tid, state.affinity);
    // Without a class there is nothing to set: kernels before 5.16 tell a level then, which later ones refuse.
    if (state.ioPriority >> IOPRIO_CLASS_SHIFT !== 0) {
      call("ioprio_set", `Setting the I/O priority of thread ${tid}`, IOPRIO_WHO_PROCESS, tid, state.ioPriority);
    }
    scope.call("prctl", "Setting the timer slack", PR.SET_TIMERSLACK, state.timerSlackNs);
  },
};

/** Of every policy, which sched_getattr(2) does not tell. The system call itself answers 20 less the nice value. */
function niceOf(tid: number): number {
  return 20 - call("getpriority", `Asking for the nice value of thread ${tid}`, PRIO_PROCESS, tid);
}

/** A kernel that does not clamp says 0 for both. */
function utilizationOf(least: number, most: number): { utilization?: [number, number] } {
  return most === 0 || (least === 0 && most === UTIL_MOST) ? {} : { utilization: [least, most] };
}

/** The CPUs that a thread may use, unless these are all that there are. */
function readAffinity(tid: number): { affinity?: number[] } {
  const cpus = cpusOf(tid);
  return cpus.length === onlineCpus() ? {} : { affinity: cpus };
}

let online: number | undefined;

function onlineCpus(): number {
  online ??= readFileSync("/sys/devices/system/cpu/online", "utf8")
    .trim()
    .split(",")
    .reduce((sum, range) => {
      const [first = 0, last = first] = range.split("-").map(Number);
      return sum + last - first + 1;
    }, 0);
  return online;
}

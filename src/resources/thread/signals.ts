/** A thread's queued signals and its alternate stack (rt_sigqueueinfo(2), sigaltstack(2)). */
import * as v from "valibot";
import { hex, hexSchema } from "../../lib/hex.ts";
import { peekSignals } from "../../tracee/ptrace.ts";
import { queuesItself } from "../process/posix-timers.ts";
import type { ThreadResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({
  /** siginfo_t of each queued signal, base64, oldest first. */
  queued: v.array(v.string()),
  /** Those of the whole process stand with its first thread. */
  queuedToProcess: v.optional(v.array(v.string())),
  alternateStack: v.optional(v.strictObject({ address: hexSchema, size: v.number(), flags: v.number() })),
});

const SS_DISABLE = 2;
const SS_AUTODISARM = 0x8000_0000;

export const threadSignals: ThreadResource<v.InferOutput<typeof schema>, "signals"> = {
  name: "signals",
  schema,
  forUser: ofAnyUser,
  asks: { bytes: 24, calls: (at) => ({ alternateStack: ["sigaltstack", 0, at] }) },
  freeze({ tid, process }, answers) {
    const encode = (shared: boolean): string[] => peekSignals(tid, shared).map((info) => info.toString("base64"));
    answers.result("alternateStack");
    const stack = answers.bytes;
    const flags = stack.readUInt32LE(8);
    return {
      queued: encode(false),
      ...(tid === process.task && { queuedToProcess: encode(true) }),
      ...((flags & SS_DISABLE) === 0 && {
        alternateStack: { address: hex(stack.readBigUInt64LE(0)), size: Number(stack.readBigUInt64LE(16)), flags },
      }),
    };
  },
  thaw({ scope }, state) {
    if (state.alternateStack) {
      const { address, size, flags } = state.alternateStack;
      const bytes = Buffer.alloc(24);
      bytes.writeBigUInt64LE(BigInt(address), 0);
      // Whether the thread stands on it right now follows from its stack pointer, not from a flag.
      bytes.writeUInt32LE((flags & SS_AUTODISARM) >>> 0, 8);
      bytes.writeBigUInt64LE(BigInt(size), 16);
      scope.call("sigaltstack", "Setting the alternate signal stack", scope.put(bytes), 0);
    }
  },
  lastCall({ tid, scope, process }, state) {
    const queue = (name: "rt_tgsigqueueinfo" | "rt_sigqueueinfo", base64: string): void => {
      const info = Buffer.from(base64, "base64");
      if (queuesItself(process, info)) return;
      scope.put(info);
      const signal = info.readInt32LE(0);
      const args =
        name === "rt_sigqueueinfo"
          ? [process.seen(process.pid), signal]
          : [process.seen(process.pid), process.seen(tid), signal];
      scope.lastCall(name, "Queueing a signal", ...args, scope.scratch);
    };
    for (const info of state.queued) queue("rt_tgsigqueueinfo", info);
    for (const info of state.queuedToProcess ?? []) queue("rt_sigqueueinfo", info);
  },
};

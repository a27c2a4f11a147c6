/** Resource limits: getrlimit(2), asked and set with prlimit(2). */
import * as v from "valibot";
import { SyscallError, attempt, withStruct } from "../../sys/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import type { FreezeProcess } from "../freeze-context.ts";
import type { ProcessResource } from "../contract.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const limit = v.union([v.literal("unlimited"), v.pipe(v.string(), v.regex(/^\d+$/))]);
const schema = v.record(v.string(), v.strictObject({ soft: limit, hard: limit }));

/** In the kernel's order (include/uapi/asm-generic/resource.h). */
const LIMITS = [
  "RLIMIT_CPU",
  "RLIMIT_FSIZE",
  "RLIMIT_DATA",
  "RLIMIT_STACK",
  "RLIMIT_CORE",
  "RLIMIT_RSS",
  "RLIMIT_NPROC",
  "RLIMIT_NOFILE",
  "RLIMIT_MEMLOCK",
  "RLIMIT_AS",
  "RLIMIT_LOCKS",
  "RLIMIT_SIGPENDING",
  "RLIMIT_MSGQUEUE",
  "RLIMIT_NICE",
  "RLIMIT_RTPRIO",
  "RLIMIT_RTTIME",
];
const INFINITY = 2n ** 64n - 1n;

export const resourceLimits: ProcessResource<v.InferOutput<typeof schema>, "limits"> = {
  name: "limits",
  schema,
  forUser: ofAnyUser,
  freeze: (process) =>
    Object.fromEntries(LIMITS.map((name, which) => [name, decode(ask(process, which, `Asking for ${name}`))] as const)),
  thaw(process, limits) {
    // Late: while the process is built, the limits of kmonte itself hold.
    process.context.during("arm", () => {
      for (const [name, { soft, hard }] of Object.entries(limits)) {
        const which = LIMITS.indexOf(name);
        const wanted = encode([soft, hard]);
        if (ask(process, which, `Asking for ${name}`).equals(wanted)) continue;
        const result = set(process, which, wanted);
        if (result === -ERRNO.EPERM) {
          throw new SyscallError(
            "prlimit64",
            result,
            `Raising ${name} of process ${process.pid} to ${hard}`,
            process.pid,
          );
        }
      }
    });
  },
};

/** A process that changed its user can be asked from outside with CAP_SYS_RESOURCE only; itself it may always ask. */
function ask({ pid, scope }: Limited, which: number, about: string): Buffer {
  return withStruct(16, (bytes, address) => {
    if (attempt("prlimit64", pid, which, 0, address) >= 0) return Buffer.from(bytes);
    scope.call("prlimit64", `${about} of process ${pid}`, 0, which, 0, scope.scratch);
    return scope.take(16);
  });
}

function set({ pid, scope }: Limited, which: number, wanted: Buffer): number {
  const result = withStruct(16, (bytes, address) => {
    wanted.copy(bytes);
    return attempt("prlimit64", pid, which, address, 0);
  });
  return result === -ERRNO.EPERM ? scope.attempt("prlimit64", 0, which, scope.put(wanted), 0) : result;
}

type Limited = Pick<FreezeProcess, "pid" | "scope">;

/** struct rlimit: soft, then hard. */
function decode(bytes: Buffer): { soft: string; hard: string } {
  const [soft = "", hard = ""] = [0, 8].map((offset) => {
    const value = bytes.readBigUInt64LE(offset);
    return value === INFINITY ? "unlimited" : value.toString();
  });
  return { soft, hard };
}

function encode(limits: readonly string[]): Buffer {
  const bytes = Buffer.alloc(16);
  limits.forEach((text, i) => bytes.writeBigUInt64LE(text === "unlimited" ? INFINITY : BigInt(text), i * 8));
  return bytes;
}

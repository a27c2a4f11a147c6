/** Resource limits: getrlimit(2), asked and set from outside with prlimit(2). */
import * as v from "valibot";
import { attempt, call, SyscallError, withStruct } from "../../abi/call.ts";
import { ERRNO } from "../../abi/errno.ts";
import type { ProcessResource } from "../contract.ts";

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

export const resourceLimits: ProcessResource<v.InferOutput<typeof schema>> = {
  name: "limits",
  schema,
  freeze: ({ pid }) =>
    Object.fromEntries(
      LIMITS.map((name, which) =>
        withStruct(16, (bytes, address) => {
          call("prlimit64", `Asking for ${name} of process ${pid}`, pid, which, 0, address);
          const at = (offset: number): string => {
            const value = bytes.readBigUInt64LE(offset);
            return value === INFINITY ? "unlimited" : value.toString();
          };
          return [name, { soft: at(0), hard: at(8) }] as const;
        }),
      ),
    ),
  thaw({ pid, context }, limits) {
    // Late: while the process is built, the limits of kmonte itself hold.
    context.atResume(() => {
      for (const [name, { soft, hard }] of Object.entries(limits)) {
        const result = withStruct(32, (bytes, address) => {
          [soft, hard].forEach((text, i) =>
            bytes.writeBigUInt64LE(text === "unlimited" ? INFINITY : BigInt(text), i * 8),
          );
          const same =
            attempt("prlimit64", pid, LIMITS.indexOf(name), 0, address + 16) === 0 &&
            bytes.subarray(0, 16).equals(bytes.subarray(16));
          return same ? 0 : attempt("prlimit64", pid, LIMITS.indexOf(name), address, 0);
        });
        if (result === -ERRNO.EPERM) {
          throw new SyscallError("prlimit64", result, `Raising ${name} of process ${pid} to ${hard}`, pid);
        }
      }
    });
  },
};

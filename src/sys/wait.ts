/** wait4(2) and its status words (include/uapi/linux/wait.h, bits/waitstatus.h). */
import { type WaitStatus, decodeWaitStatus } from "../abi/wait.ts";
import { attempt, withStruct } from "./call.ts";

/** wait4(2) for one child or tracee. Undefined when WNOHANG found nothing; a negated errno when there is none. */
export function wait4(pid: number, options: number): WaitStatus | number | undefined {
  return withStruct(4, (bytes, address) => {
    const result = attempt("wait4", pid, address, options, 0);
    if (result < 0) return result;
    return result === 0 ? undefined : decodeWaitStatus(bytes.readInt32LE(0));
  });
}

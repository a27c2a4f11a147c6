/** poll(2) on descriptors of ours. */
import { ERRNO } from "../abi/errno.ts";
import { attempt, SyscallError, withStruct } from "./call.ts";

/** What poll(2) says at once, without waiting. */
export function pollNow(fd: number, events: number): number {
  return withStruct(8, (bytes, address) => {
    bytes.writeInt32LE(fd, 0);
    bytes.writeInt16LE(events, 4);
    for (;;) {
      const result = attempt("poll", address, 1, 0);
      if (result >= 0) return bytes.readInt16LE(6);
      // A signal of ours came in between.
      if (result !== -ERRNO.EINTR) throw new SyscallError("poll", result, "Asking whether a file is ready");
    }
  });
}

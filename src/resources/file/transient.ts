/** What of a file passes by itself when its program goes on for a moment. */
import { closeSync } from "node:fs";
import { call } from "../../sys/call.ts";
import { F } from "../../abi/fcntl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import type { Settling } from "../freeze-context.ts";

/** Until a file answers yes; it is asked through a duplicate of ours. */
export function settling(file: LocalFd, settled: (file: LocalFd) => boolean, end = (): void => undefined): Settling {
  const own = call("fcntl", "Duplicating a descriptor", file, F.F_DUPFD_CLOEXEC, 0) as LocalFd;
  return {
    settled: () => settled(own),
    [Symbol.dispose]() {
      closeSync(own);
      end();
    },
  };
}

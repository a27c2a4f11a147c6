/**
 * What is registered with io_urings and not seen in their fdinfo (io_uring_register(2)): asked in the thread that uses
 * them, because some rings answer nobody else (IORING_SETUP_SINGLE_ISSUER). It is refused.
 */
import * as v from "valibot";
import { ERRNO } from "../../abi/errno.ts";
import { IORING_ENTER_REGISTERED_RING, IORING_REGISTER_EVENTFD, UNREADABLE } from "../../abi/io-uring.ts";
import type { Row } from "../../tracee/scope.ts";
import type { FreezeThread } from "../freeze-context.ts";
import type { ThreadResource } from "../contract.ts";
import { isRing, noteAnswer, refuseRing } from "./io-uring.ts";

/** A thread registers as many descriptors of rings at most (IO_RINGFD_REG_MAX). */
const SLOTS = 16;

export const registeredRings: ThreadResource<undefined, "registeredRings"> = {
  name: "registeredRings",
  schema: v.optional(v.undefined()),
  asks: { bytes: 0, calls: () => ({ slot0: enterRegistered(0) }) },
  freeze(thread, answers) {
    // EINVAL: it has never used an io_uring, or this kernel has no registered descriptors.
    const first = answers.attempt("slot0");
    if (first === -ERRNO.EINVAL || first === -ERRNO.ENOSYS) return undefined;
    const { scope, process } = thread;
    const slots = Array.from({ length: SLOTS }, (_, slot) => enterRegistered(slot));
    const slot = scope.batch(slots).findIndex((result) => result !== -ERRNO.EBADF);
    if (slot >= 0)
      refuseRing(
        process,
        `Thread ${thread.tid} has registered the descriptor of a ring (IORING_REGISTER_RING_FDS, number ${slot})`,
      );
    askRings(thread);
    return undefined;
  },
  thaw() {
    // Refused where there is something.
  },
};

/** Does nothing with a ring whose descriptor is registered; without one, answers EBADF. */
function enterRegistered(slot: number): Row {
  return ["io_uring_enter", slot, 0, 0, IORING_ENTER_REGISTERED_RING, 0, 0];
}

function askRings({ scope, process: { context, pid } }: FreezeThread): void {
  const rings = context.openFiles().flatMap(([, file]) => (file.pid === pid && isRing(file) ? [file] : []));
  const results = scope.batch(rings.map(({ fd }) => ["io_uring_register", fd, IORING_REGISTER_EVENTFD, UNREADABLE, 1]));
  rings.forEach((file, i) => noteAnswer(file, results[i] ?? 0));
}

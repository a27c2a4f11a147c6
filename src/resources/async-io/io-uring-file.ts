/** The descriptor of an io_uring at rest. */
import * as v from "valibot";
import { Refusal } from "../../lib/errors.ts";
import type { OpenFile } from "../freeze-context.ts";
import type { FileKind } from "../contract.ts";
import { pidNamespaceOwners } from "../namespace/user.ts";
import type { ContentsHandle } from "../file/contents.ts";
import { freezeIoUring, isRing, ringId } from "./io-uring.ts";

const schema = v.strictObject({ ring: v.string() });

export const ioUringFile: FileKind<v.InferOutput<typeof schema>, "io-uring"> = {
  name: "io-uring",
  schema,
  recognise: isRing,
  freeze(file) {
    // Whoever is cloned in a user namespace gets descriptors sent, and the kernel sends no rings (unix(7)).
    if (pidNamespaceOwners(file.context, file.task).some((owner) => owner !== "")) throw cannotSend(file);
    return { ring: file.context.object(ringId(file.stat.device, file.stat.inode), () => freezeIoUring(file)) };
  },
  thaw: (state, context) => context.object<ContentsHandle>(state.ring).open(0),
};

function cannotSend({ pid, command, fd }: OpenFile): Refusal {
  return new Refusal(
    "IO_URING_USER_NAMESPACE",
    {
      what: `Process ${pid} (${command}) has an io_uring that cannot be given to it again.`,
      why: `Descriptor ${fd} is one, and the process lives in a pid namespace that belongs to a user namespace of the set.`,
      remedy: "Let the program close it, or start the container without a user namespace.",
    },
    { pid, fd, command, resource: "io_uring" },
  );
}

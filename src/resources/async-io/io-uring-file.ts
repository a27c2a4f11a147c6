/** The descriptor of an io_uring at rest. */
import * as v from "valibot";
import type { FileKind } from "../contract.ts";
import { failures } from "../../errors/catalogue.ts";
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
    if (pidNamespaceOwners(file.context, file.task).some((owner) => owner !== ""))
      throw failures.IO_URING_USER_NAMESPACE({ pid: file.pid, command: file.command, fd: file.fd });
    return { ring: file.context.object(ringId(file.stat.device, file.stat.inode), () => freezeIoUring(file)) };
  },
  thaw: (state, context) => context.object<ContentsHandle>(state.ring).open(0),
};

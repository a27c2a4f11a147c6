/** The descriptor of an io_uring at rest. */
import * as v from "valibot";
import type { FileKind } from "../contract.ts";
import type { ContentsHandle } from "../objects/contents.ts";
import { freezeIoUring, ringId } from "../objects/io-uring.ts";

const schema = v.strictObject({ ring: v.string() });

export const ioUringFile: FileKind<v.InferOutput<typeof schema>> = {
  name: "io-uring",
  schema,
  recognise: (file) => file.link === "anon_inode:[io_uring]",
  freeze: (file) => ({
    ring: file.context.object(ringId(file.stat.device, file.stat.inode), () => freezeIoUring(file)),
  }),
  thaw: (state, context) => context.object<ContentsHandle>(state.ring).open(0),
};

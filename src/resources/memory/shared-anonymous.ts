/** Anonymous memory that relatives share: mmap(2) with MAP_SHARED|MAP_ANONYMOUS. */
import * as v from "valibot";
import { asOurselves } from "../../sys/identity.ts";
import { call } from "../../sys/call.ts";
import { MAP, PAGE_SIZE, PROT } from "../../abi/mman.ts";
import { O } from "../../abi/fcntl.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import { copyContents } from "../file/copy.ts";
import type { ContentsHandle, ContentsLook } from "../file/contents.ts";
import { hugePageOf, hugeSizeFlag } from "../file/hugetlb-file.ts";
import { findMapFile } from "./mapped-file.ts";
import { openPath } from "../file/path-file.ts";
import { openToRead } from "../file/readable.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({
  kind: v.literal("shared-anonymous"),
  size: v.number(),
  /** The size of its huge pages (MAP_HUGETLB). */
  hugePage: v.optional(v.number()),
  blob: v.string(),
});
export type SharedAnonymousState = v.InferOutput<typeof schema>;

export function freezeSharedAnonymous(context: FreezeContext, id: string, look: ContentsLook): SharedAnonymousState {
  const fd = openToRead(context, look, 0);
  context.keep(fd);
  const hugePage = hugePageOf(`/proc/self/fd/${fd}`);
  return {
    kind: "shared-anonymous",
    size: look.stat.size,
    ...(hugePage && { hugePage }),
    blob: context.blob(id, { fd }),
  };
}

export const sharedAnonymous: ObjectKind<SharedAnonymousState, ContentsHandle, "shared-anonymous"> = {
  name: "shared-anonymous",
  schema,
  forUser: ofAnyUser,
  thaw(state, context: ThawContext): ContentsHandle {
    // A mapping of our own makes the kernel's object; /proc/self/map_files leads to it.
    const huge = state.hugePage === undefined ? 0 : MAP.MAP_HUGETLB | hugeSizeFlag(state.hugePage);
    const size = Math.ceil(state.size / PAGE_SIZE) * PAGE_SIZE;
    const about = `Making ${size} bytes of shared memory`;
    const address = call(
      "mmap",
      about,
      0,
      size,
      PROT.PROT_READ | PROT.PROT_WRITE,
      MAP.MAP_SHARED | MAP.MAP_ANONYMOUS | huge,
      -1,
      0,
    );
    const fd = asOurselves(() => openPath(findMapFile(address), O.O_RDWR));
    context.keep(fd);
    call("munmap", about, address, size);
    copyContents(context.openBlob(state.blob), fd, state.size);
    return { open: (flags) => openPath(`/proc/self/fd/${fd}`, flags) };
  },
};

/** An anonymous file of memory: memfd_create(2). */
import { NAMELESS_INODE } from "./nameless.ts";
import * as v from "valibot";
import { attempt, call, withText } from "../../sys/call.ts";
import { F, F_SEAL, MFD, O, O_ACCMODE } from "../../abi/fcntl.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { formatFlags, parseFlags } from "../../lib/flags.ts";
import type { FreezeContext } from "../freeze-context.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { ObjectKind } from "../contract.ts";
import { copyContents } from "./copy.ts";
import { linkedPath, type ContentsHandle, type ContentsLook } from "./contents.ts";
import { extraAttributes, freezeAttributes, thawAttributes } from "./attributes.ts";
import { hugePageOf, hugeSizeFlag } from "./hugetlb-file.ts";
import { openPath } from "./path-file.ts";
import { openToRead } from "./readable.ts";
import { ofAnyUser } from "../ordinary-user.ts";

const schema = v.strictObject({
  kind: v.literal("memfd"),
  name: v.string(),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  /** F_SEAL_… names joined by |, or 0. */
  seals: v.string(),
  size: v.number(),
  /** The size of its huge pages (MFD_HUGETLB). */
  hugePage: v.optional(v.number()),
  ...extraAttributes,
  blob: v.string(),
});
export type MemfdState = v.InferOutput<typeof schema>;

export function freezeMemfd(context: FreezeContext, id: string, look: ContentsLook): MemfdState {
  const fd = openToRead(context, look, O.O_NOATIME);
  context.keep(fd);
  const attributes = freezeAttributes(context, look);
  const seals = attempt("fcntl", fd, F.F_GET_SEALS, 0);
  const hugePage = hugePageOf(`/proc/self/fd/${fd}`);
  return {
    kind: "memfd",
    name: linkedPath(look.link).slice("/memfd:".length),
    mode: look.stat.mode,
    uid: look.stat.uid,
    gid: look.stat.gid,
    seals: formatFlags(F_SEAL, Math.max(seals, 0)),
    size: look.stat.size,
    ...(hugePage && { hugePage }),
    ...attributes,
    blob: context.blob(id, { fd }),
  };
}

export const memfd: ObjectKind<MemfdState, ContentsHandle, "memfd"> = {
  name: "memfd",
  schema,
  differs: [{ what: NAMELESS_INODE, met: () => true }],
  forUser: ofAnyUser,
  needs: () => [{ option: "CONFIG_MEMFD_CREATE", what: "memfd_create(2)" }],
  thaw(state, context: ThawContext): ContentsHandle {
    const huge = state.hugePage === undefined ? 0 : MFD.MFD_HUGETLB | hugeSizeFlag(state.hugePage);
    const kind = MFD.MFD_CLOEXEC | MFD.MFD_ALLOW_SEALING | huge;
    const writer = withText(
      state.name,
      (name) => call("memfd_create", `Making memfd ${state.name}`, name, kind) as LocalFd,
    );
    copyContents(context.openBlob(state.blob), writer, state.size);
    call("fchown", `Owning memfd ${state.name}`, writer, state.uid, state.gid);
    call("fchmod", `Marking memfd ${state.name}`, writer, state.mode);
    thawAttributes(writer, state);
    // Contents of shared mappings come later.
    context.during("arm", () => thawAttributes(writer, { times: state.times }));
    const seals = parseFlags(F_SEAL, state.seals);
    const seal = (): void => {
      if (seals !== 0) call("fcntl", `Sealing memfd ${state.name}`, writer, F.F_ADD_SEALS, seals);
    };
    // Of all seals, this one lets those mappings be that may write and were there before.
    const late = (seals & (F_SEAL.F_SEAL_FUTURE_WRITE | F_SEAL.F_SEAL_WRITE)) === F_SEAL.F_SEAL_FUTURE_WRITE;
    if (late) context.during("arm", seal);
    else seal();
    // Unlike one that was opened, this descriptor does not keep the file from being a running program (execve(2)).
    context.keep(writer);
    let fresh = true;
    return {
      open: (flags) => openPath(`/proc/self/fd/${writer}`, flags),
      made(flags) {
        if (!fresh || (flags & O.O_PATH) !== 0 || (flags & O_ACCMODE) !== O.O_RDWR) return undefined;
        fresh = false;
        return writer;
      },
    };
  },
};

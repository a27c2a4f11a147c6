/** A file with a name where nothing outlives a boot: it is opened by its name, as those that stay on disk, and made before. */
import { Memo } from "../memo.ts";
import { identityOf, isSameFile } from "../../sys/file-identity.ts";
import type { MountView } from "../../sys/mount-view.ts";
import { later } from "../../sys/namespaces.ts";
import type { LocalFd } from "../../lib/brand.ts";
import * as v from "valibot";
import type { FreezeContext, ObjectState } from "../freeze-context.ts";
import type { ObjectKind } from "../contract.ts";
import { carryingOf } from "./collect.ts";
import { machinePathOf } from "./machine-path.ts";
import { isTemporary, isVolatile } from "./file-systems.ts";
import type { ContentsHandle, ContentsLook } from "../file/contents.ts";
import { ofAnyUser } from "../ordinary-user.ts";
import { reopen } from "../file/reopen.ts";
import { namedFile } from "../file/named-file.ts";
import { freezePathFile, type PathFileState, unchanged } from "../file/path-file.ts";

const schema = v.strictObject({ kind: v.literal("volatile-file"), ...namedFile });
type VolatileFileState = v.InferOutput<typeof schema>;

/** Its state, whichever of the two it is. */
export type NamedFileState = Omit<PathFileState, "kind">;

/** Objects that are files under their names, on disk or in memory. */
export function isNamedFile(object: ObjectState | undefined): object is ObjectState & NamedFileState {
  return object?.kind === "path-file" || object?.kind === "volatile-file";
}

/** What a program shares with others in a temporary folder, such as the figures of a Java program: up to this size. */
const MOST_TEMPORARY = 1024 ** 2;

/** Undefined for a file that outlives a boot, or that the machine does not show. */
export function freezeVolatileFile(context: FreezeContext, look: ContentsLook): VolatileFileState | undefined {
  const path = machinePathOf(context, look.task, look.via, look.link);
  if (path === undefined || !mayGo(path, look)) return undefined;
  if (!carryingOf(context).one(path, "used", look.local)) return undefined;
  namesOf(context).set(keyOf(look), new Set([look.link]));
  return { ...freezePathFile(look), kind: "volatile-file" };
}

/** The names of each volatile file under which it has been seen, by device and inode. */
const names = new Memo(() => new Map<string, Set<string>>());

function namesOf(context: FreezeContext): Map<string, Set<string>> {
  const known = context.memo(names);
  return known;
}

function keyOf({ stat: { device, inode } }: ContentsLook): string {
  return `${device}:${inode}`;
}

/** Another descriptor or mapping of a file may have it under another of its names (link(2)). */
export function noteOtherName(context: FreezeContext, look: ContentsLook, isLinked: IsLinked): void {
  const known = namesOf(context).get(keyOf(look));
  if (!known || known.has(look.link)) return;
  known.add(look.link);
  if (!isLinked(context.mounts, look.link, look.stat)) return;
  const path = machinePathOf(context, look.task, look.via, look.link);
  if (path !== undefined) carryingOf(context).one(path, "used", look.local);
}
type IsLinked = (mounts: MountView, link: string, seen: ContentsLook["stat"]) => boolean;

function mayGo(path: string, { sharedWritable, stat }: ContentsLook): boolean {
  if (isVolatile(path)) return true;
  return sharedWritable === true && isTemporary(path) && stat.size <= MOST_TEMPORARY;
}

export const volatileFile: ObjectKind<VolatileFileState, ContentsHandle, "volatile-file"> = {
  name: "volatile-file",
  schema,
  forUser: ofAnyUser,
  paths: ({ path, identity, device }, flags) => [{ path, identity, device, flags }],
  thaw(state, context) {
    const open = later((flags: number) => reopen(context, state, flags));
    return { open, openToMap: (flags) => asItWas(open(flags), state) };
  },
};

/** The contents of one that was made again, or that a boot has made, have been compared or written before. */
function asItWas(fd: LocalFd, state: VolatileFileState): LocalFd {
  const { identity } = state;
  return identity && isSameFile(identity, identityOf(fd)) ? unchanged(fd, state) : fd;
}

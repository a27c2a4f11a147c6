/** One thing that is carried with its name: what state.json keeps of it, and how to tell it from another. */
import type { BigIntStats } from "node:fs";
import * as v from "valibot";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { lstatSync } from "../../sys/files.ts";
import { type FileIdentity, identityOf, isSameFile } from "../../sys/file-identity.ts";
import { S_IF } from "../../abi/stat.ts";
import type { FileStat } from "../../sys/stat.ts";
import { nameOf } from "../../lib/flags.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import { extraAttributes } from "../file/attributes.ts";
import { identitySchema } from "../file/identity-schema.ts";
import type { Found } from "./open-path.ts";
import { isVolatile } from "./file-systems.ts";

/** The weaker first. */
const ROLES = [
  /** It lies in a folder that comes along as a whole. */
  "beside",
  /** A folder above others, or what a mount stands on: its contents do not matter. */
  "above",
  /** The set uses it, or somebody has named it. */
  "used",
] as const;
export type Role = (typeof ROLES)[number];

/** What something is that is two of them. */
export function bothRoles(type: Entry["type"], one: Role, other: Role): Role {
  // What a mount stands on has no contents yet, and what lies beside need not be there.
  if (one !== other && type !== "S_IFDIR") return "used";
  return ROLES.indexOf(one) > ROLES.indexOf(other) ? one : other;
}

const thing = {
  type: v.picklist(Object.keys(S_IF) as (keyof typeof S_IF)[]),
  mode: v.number(),
  uid: v.number(),
  gid: v.number(),
  ...extraAttributes,
  /** Of a regular file: its size, and its contents here (base64) or in a file of the image. */
  size: v.optional(v.number()),
  data: v.optional(v.string()),
  blob: v.optional(v.string()),
  /** What a symbolic link says. */
  target: v.optional(v.string()),
  /** Major and minor number of a device. */
  device: v.optional(v.string()),
};
/** Something of a file system, without its name. */
export const thingSchema = v.strictObject(thing);
export type Thing = v.InferOutput<typeof thingSchema>;

export const entrySchema = v.strictObject({
  ...thing,
  /** As the machine's mount namespace has it, no symbolic link on the way. */
  path: v.string(),
  role: v.picklist(ROLES),
  /** What tells it from another that stands there later. */
  identity: identitySchema,
  /** The folder that it lies in, where that does not come along. */
  parentDirectory: v.optional(identitySchema),
  /** The root of its file system: where that is mounted again, it is another. */
  fileSystemRoot: v.optional(v.literal(true)),
  /** Another name of a file that comes earlier (link(2)). */
  linkTo: v.optional(v.string()),
});
export type Entry = v.InferOutput<typeof entrySchema>;

export function lookAt(path: string): BigIntStats | undefined {
  return orIfGone(() => lstatSync(OWN_VIEW.at(path), { bigint: true }), undefined);
}

export function typeOf({ type }: FileStat): Entry["type"] {
  return nameOf(S_IF, type) as Entry["type"];
}

/** Whether what stands there now is the very one that was frozen. */
export function isSame({ type, identity }: Entry, { fd, stat }: Found): boolean {
  if (typeOf(stat) !== type) return false;
  const now = identityOf(fd);
  return isSameFile(identity, now) || isSameNumber(identity, now);
}

/** Some file systems tell the inode's number and no more (ramfs, hugetlbfs): as far as they tell, in the same boot. */
function isSameNumber(a: FileIdentity, b: FileIdentity): boolean {
  const untold = [a, b].every(({ birth, handle }) => birth === undefined && handle === undefined);
  return untold && a.boot === b.boot && a.device === b.device && a.inode === b.inode;
}

/** How type, owner or mode differ; undefined where they do not. */
export function whyOther(entry: Entry, stat: FileStat): string | undefined {
  const { uid, gid, mode } = stat;
  const type = typeOf(stat);
  if (type !== entry.type) return `It is ${WORDS[type]}; it was ${WORDS[entry.type]}.`;
  if (uid !== entry.uid || gid !== entry.gid)
    return `It belongs to user ${uid} and group ${gid}; it belonged to ${entry.uid} and ${entry.gid}.`;
  // A symbolic link has none.
  if (type !== "S_IFLNK" && mode !== entry.mode) return `Its mode is ${octal(mode)}; it was ${octal(entry.mode)}.`;
  return undefined;
}

export const WORDS: Readonly<Record<Entry["type"], string>> = {
  S_IFSOCK: "a socket",
  S_IFLNK: "a symbolic link",
  S_IFREG: "a regular file",
  S_IFBLK: "a block device",
  S_IFDIR: "a folder",
  S_IFCHR: "a character device",
  S_IFIFO: "a FIFO",
};

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

/** Whether a folder is the root of its file system. */
export function isTop(path: string, parent: string): boolean {
  return lookAt(path)?.dev !== lookAt(parent)?.dev && isVolatile(path);
}

/** One thing that is carried with its name: what state.json keeps of it, and how to tell it from another. */
import { lstatSync, type BigIntStats } from "node:fs";
import * as v from "valibot";
import { formatDevice, S_IF } from "../../abi/stat.ts";
import { nameOf } from "../../lib/flags.ts";
import { orIfGone } from "../../lib/gone.ts";
import { extraAttributes } from "../objects/file-attributes.ts";
import { isVolatile } from "./places.ts";

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
  identity: v.strictObject({ device: v.string(), inode: v.string(), birth: v.string() }),
  /** It lay on a file system in memory: in another boot nothing is the same. */
  volatile: v.optional(v.literal(true)),
  /** The root of its file system: where that is mounted again, it is another. */
  top: v.optional(v.literal(true)),
  /** Another name of a file that comes earlier (link(2)). */
  linkTo: v.optional(v.string()),
});
export type Entry = v.InferOutput<typeof entrySchema>;

export function lookAt(path: string): BigIntStats | undefined {
  return orIfGone(() => lstatSync(path, { bigint: true }), undefined);
}

export function typeOf({ mode }: BigIntStats): Entry["type"] {
  return nameOf(S_IF, Number(mode) & 0o170000) as Entry["type"];
}

export function permissionsOf({ mode, uid, gid }: BigIntStats): Pick<Entry, "mode" | "uid" | "gid"> {
  return { mode: Number(mode) & 0o7777, uid: Number(uid), gid: Number(gid) };
}

export function identityOf(seen: BigIntStats): Entry["identity"] {
  return { device: formatDevice(seen.dev), inode: String(seen.ino), birth: String(seen.birthtimeNs) };
}

/** Whether what stands there now is the very one that was frozen; numbers of devices are given anew at every boot. */
export function isSame(entry: Entry, seen: BigIntStats, sameBoot: boolean): boolean {
  const { device, inode, birth } = identityOf(seen);
  if (inode !== entry.identity.inode || birth !== entry.identity.birth || typeOf(seen) !== entry.type) return false;
  return sameBoot ? device === entry.identity.device : entry.volatile !== true;
}

/** Whether a folder is the root of its file system. */
export function isTop(path: string, parent: string): boolean {
  return lookAt(path)?.dev !== lookAt(parent)?.dev && isVolatile(path);
}

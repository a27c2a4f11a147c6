/**
 * Mounts that show files under other owners than they have on the disk (mount_setattr(2), MOUNT_ATTR_IDMAP). The kernel
 * says that a mount is one, and not how its ids are mapped; what systemd makes for StateDirectory= of a user that it has
 * made up (systemd 257 and later) can be told from the files: one owner, nobody on the disk, is another one.
 */
import { closeSync, fstatSync } from "node:fs";
import { join } from "node:path";
import { OWN_VIEW } from "../../sys/mount-view.ts";
import { lstatSync, readdirSync } from "../../sys/files.ts";
import { setMountIds } from "../../sys/mount.ts";
import type { LocalFd } from "../../lib/brand.ts";
import { failures } from "../../errors/catalogue.ts";
import type { Refusal } from "../../errors/failure.ts";
import { orIfGone } from "../../lib/no-such-file.ts";
import type { Mount } from "../../proc/mountinfo.ts";
import type { ThawContext } from "../thaw-context.ts";
import type { Holder } from "../namespace/handle.ts";
import type { UserNamespaceHandle, UserState } from "../namespace/user.ts";

/** The id of those who have none: on the disk, and where an id is not mapped (overflowuid in proc_sys_kernel(5)). */
const NOBODY = 65_534;
/** How many files are looked at. */
const MOST_FILES = 1000;

export function isIdMapped({ options }: Mount): boolean {
  return options.includes("idmapped");
}

/**
 * Notes the user namespace that says how the ids are mapped; returns the object's id. `shown` is the folder as the mount
 * shows it, `path` where the machine has it; the descriptor is closed.
 */
export function freezeIdMap(holder: Holder, one: Mount, shown: LocalFd | undefined, path: string): string {
  if (shown === undefined) throw unclear(holder, one, "Other mounts cover it.");
  try {
    const [there, here] = [fstatSync(shown), lstatSync(OWN_VIEW.at(path))];
    const [uid, gid] = [there.uid, there.gid];
    if (here.uid !== NOBODY || here.gid !== NOBODY || uid === NOBODY || gid === NOBODY)
      throw unclear(holder, one, `Its owner ${here.uid}:${here.gid} is ${uid}:${gid} there.`);
    for (const name of readdirSync(OWN_VIEW.at(path)).slice(0, MOST_FILES)) {
      const [seen, disk] = [`/proc/self/fd/${shown}/${name}`, join(path, name)].map((file) =>
        orIfGone(() => lstatSync(OWN_VIEW.at(file)), undefined),
      );
      if (!seen || !disk) continue;
      const expected = [disk.uid === NOBODY ? uid : NOBODY, disk.gid === NOBODY ? gid : NOBODY];
      if (seen.uid !== expected[0] || seen.gid !== expected[1])
        throw unclear(holder, one, `The owner ${disk.uid}:${disk.gid} of ${name} is ${seen.uid}:${seen.gid} there.`);
    }
    return holder.context.object(`id-map:${uid}:${gid}`, (): UserState => {
      const ids = (id: number): UserState["uidMap"] => [[NOBODY, id, 1]];
      return { kind: "user-namespace", owner: 0, uidMap: ids(uid), gidMap: ids(gid), setgroups: "allow" };
    });
  } finally {
    closeSync(shown);
  }
}

/** Maps the ids of a mount that is attached nowhere yet. */
export function thawIdMap(mount: LocalFd, id: string, context: ThawContext): void {
  setMountIds(mount, context.object<UserNamespaceHandle>(id).fd);
}

function unclear({ pid, command }: Holder, { mountPoint }: Mount, why: string): Refusal {
  return failures.MOUNT_IDMAPPED({ mountPoint, pid, command, why });
}

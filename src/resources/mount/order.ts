/** Which mount stands on which: pure (proc_pid_mountinfo(5)). */
import type { Mount } from "../../proc/mountinfo.ts";

/** Parents before children, and what stands under another mount before that one. */
export function inBuildingOrder(mounts: readonly Mount[]): Mount[] {
  const ids = new Set(mounts.map(({ id }) => id));
  const found: Mount[] = [];
  const visit = (mount: Mount): void => {
    found.push(mount);
    const children = mounts.filter(({ parent, id }) => parent === mount.id && id !== mount.id);
    const done = new Set<Mount>();
    const place = (child: Mount): void => {
      if (done.has(child)) return;
      done.add(child);
      // Those below its mount point were there before it, or they would stand on it.
      for (const other of children) if (other !== child && isBelow(other, child)) place(other);
      visit(child);
    };
    for (const child of children) place(child);
  };
  for (const mount of mounts) if (!ids.has(mount.parent) || mount.parent === mount.id) visit(mount);
  return found;
}

/** The mounts that hide another, the topmost first. */
export function coversOf(covered: Mount, inOrder: readonly Mount[]): Mount[] {
  const byId = new Map(inOrder.map((mount) => [mount.id, mount]));
  const way = new Set<number>();
  for (let at: Mount | undefined = covered; at && !way.has(at.id); at = byId.get(at.parent)) way.add(at.id);
  const covers: Mount[] = [];
  for (const mount of inOrder) {
    if (way.has(mount.id) || (mount.mountPoint !== covered.mountPoint && !isBelow(covered, mount))) continue;
    // On the way to it, or on such a one in turn.
    const on = covers.find(({ id }) => id === mount.parent);
    if (way.has(mount.parent) || on?.mountPoint === mount.mountPoint) covers.push(mount);
  }
  return covers.toReversed();
}

function isBelow(mount: Mount, other: Mount): boolean {
  return mount.mountPoint.startsWith(other.mountPoint === "/" ? "/" : `${other.mountPoint}/`);
}

/**
 * The root directory of a container is an overlay that its engine has mounted on the machine, not in the container. No
 * boot mounts it: it is mounted again before the container is thawed, where it was, for the engine to find it there.
 */
import { findTask } from "../proc/read.ts";
import { spawnSync } from "node:child_process";
import { join, relative } from "node:path";
import { failures } from "../errors/catalogue.ts";
import type { Mount } from "../proc/mountinfo.ts";
import { mountsOf } from "../proc/mounts.ts";

export interface MachineMount {
  readonly at: string;
  readonly source: string;
  readonly options: readonly string[];
  /** The folder that it stands in, where that was mounted on itself first. */
  readonly on?: string | undefined;
}

/** What must be said again of an overlay; the kernel shows what follows from its own settings, too. */
const OPTIONS = /^(lowerdir|upperdir|workdir|metacopy|redirect_dir|index|userxattr|volatile)\b/;

/** The overlays of the machine that some processes have as their root directory. */
export function rootMountsOf(pids: readonly number[]): MachineMount[] {
  const ours = mountsOf("self");
  const overlays = ours.filter(({ type }) => type === "overlay");
  const devices = new Set(
    pids.flatMap((pid) => mountsOf(findTask(pid)).find(({ mountPoint }) => mountPoint === "/")?.device ?? []),
  );
  return overlays
    .filter(({ device, mountPoint }) => devices.has(device) && mountPoint !== "/")
    .map(({ parent, mountPoint, source, superOptions }) => {
      const below = ours.find(({ id }) => id === parent);
      return {
        at: mountPoint,
        source,
        options: superOptions.filter((option) => OPTIONS.test(option)),
        ...(below && isOnItself(below, ours) && { on: below.mountPoint }),
      };
    });
}

/** Whether a folder was mounted on itself, to have a propagation of its own (mount_namespaces(7)). */
function isOnItself({ id, device, root, mountPoint }: Mount, ours: readonly Mount[]): boolean {
  return ours.some(
    (other) =>
      other.id !== id && other.device === device && join(other.mountPoint, relative(other.root, root)) === mountPoint,
  );
}

/** Mounts those that are not there. */
export function mountAgain(mounts: readonly MachineMount[]): void {
  for (const { at, source, options, on } of mounts) {
    if (isMountPoint(at)) continue;
    // As container engines have it, which take what is mounted below for theirs alone.
    if (on !== undefined && !isMountPoint(on)) {
      mount(["--bind", on, on], at);
      mount(["--make-private", on], at);
    }
    mount(["-t", "overlay", "-o", options.join(","), source, at], at);
  }
}

function isMountPoint(path: string): boolean {
  return mountsOf("self").some(({ mountPoint }) => mountPoint === path);
}

function mount(args: readonly string[], root: string): void {
  const run = spawnSync("mount", args, { encoding: "utf8" });
  if (run.status === 0) return;
  throw failures.CONTAINER_ROOT({ root, said: run.error?.message ?? run.stderr.trim() });
}

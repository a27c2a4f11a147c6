/**
 * What disks the thaw needs, and what they are made of: dm-crypt, LVM, RAID, the network. Going by /sys/block
 * (Documentation/ABI/testing/sysfs-block-dm, Documentation/admin-guide/md.rst) and crypttab(5).
 */
import { dirname } from "node:path";
import { ownCommand } from "../../lib/own-command.ts";
import { type Mount, parseMountInfo } from "../../proc/mountinfo.ts";
import type { Machine } from "./machine.ts";

/** What a block device is, of all that it stands on. */
export type Layer =
  | { readonly kind: "crypt"; readonly name: string }
  | { readonly kind: "lvm"; readonly name: string }
  | { readonly kind: "raid"; readonly name: string; readonly level: string; readonly missing: number }
  | { readonly kind: "network"; readonly name: string; readonly protocol: string };

/** A file system that must be there before the processes come back. */
export interface NeededDisk {
  readonly mount: Mount;
  /** Mounted by the initramfs, before systemd's first unit. */
  readonly early: boolean;
  readonly layers: readonly Layer[];
}

const NETWORK_TYPE = /^(nfs4?|cifs|smb3|ceph|glusterfs|fuse\.(sshfs|glusterfs)|9p|afs|ocfs2|gfs2)$/;

/** The file systems of the system itself, of kmonte, and of its state: each once. */
export function neededDisks(machine: Machine): NeededDisk[] {
  const mounts = parseMountInfo(machine.text("/proc/self/mountinfo"));
  const found = new Map<string, NeededDisk>();
  for (const path of ["/", "/usr", "/var", machine.swapRoot, dirname(ownCommand())]) {
    const mount = deepest(path, mounts);
    if (mount === undefined || found.has(mount.mountPoint)) continue;
    const early = ["/", "/usr"].includes(mount.mountPoint);
    found.set(mount.mountPoint, { mount, early, layers: layersOf(machine, mount) });
  }
  return [...found.values()];
}

function deepest(path: string, mounts: readonly Mount[]): Mount | undefined {
  const above = mounts.filter(
    ({ mountPoint: point }) => point === "/" || path === point || path.startsWith(`${point}/`),
  );
  return above.reduce<Mount | undefined>((best, mount) => {
    return best && best.mountPoint.length > mount.mountPoint.length ? best : mount;
  }, undefined);
}

function layersOf(machine: Machine, { type, source, device }: Mount): Layer[] {
  if (NETWORK_TYPE.test(type)) return [{ kind: "network", name: source, protocol: type }];
  const folder = machine.real(`/sys/dev/block/${device}`) ?? folderOfSource(machine, source);
  return folder === undefined ? [] : layersBelow(machine, folder);
}

/** btrfs has devices of its own invention: what was mounted is a name in /dev. */
function folderOfSource(machine: Machine, source: string): string | undefined {
  if (!source.startsWith("/dev/")) return undefined;
  const node = machine.real(source) ?? source;
  return machine.real(`/sys/class/block/${node.replace(/^.*\//, "")}`);
}

function layersBelow(machine: Machine, folder: string): Layer[] {
  const below = machine.names(`${folder}/slaves`).flatMap((name) => {
    const slave = machine.real(`/sys/class/block/${name}`);
    return slave === undefined ? [] : layersBelow(machine, slave);
  });
  const disk = machine.has(`${folder}/partition`) ? dirname(folder) : folder;
  const further = disk === folder ? [] : layersBelow(machine, disk);
  return [...layer(machine, folder), ...below, ...further];
}

function layer(machine: Machine, folder: string): Layer[] {
  const device = folder.replace(/^.*\//, "");
  const [uuid, name] = [machine.text(`${folder}/dm/uuid`), machine.text(`${folder}/dm/name`)];
  if (uuid.startsWith("CRYPT-")) return [{ kind: "crypt", name }];
  if (uuid.startsWith("LVM-")) return [{ kind: "lvm", name }];
  if (machine.has(`${folder}/md/level`)) {
    const missing = Number(machine.text(`${folder}/md/degraded`)) || 0;
    return [{ kind: "raid", name: device, level: machine.text(`${folder}/md/level`), missing }];
  }
  const protocol = protocolOf(folder, device);
  return protocol === undefined ? [] : [{ kind: "network", name: device, protocol }];
}

function protocolOf(folder: string, device: string): string | undefined {
  if (/^nbd\d+$/.test(device)) return "nbd";
  if (/^rbd\d+$/.test(device)) return "rbd";
  if (/\/session\d+\/target/.test(folder)) return "iscsi";
  if (/\/nvme-fabrics\//.test(folder)) return "nvme over a network";
  return undefined;
}

/** What the next boot waits for, or cannot do, until the disks are there that the thaw needs. */
import { failures } from "../../errors/catalogue.ts";
import type { Finding } from "./finding.ts";
import { usesDracut } from "./initramfs-maker.ts";
import type { Machine } from "./machine.ts";
import { type Layer, type NeededDisk, neededDisks } from "./storage.ts";

export function lookAtDisks(machine: Machine): Finding[] {
  const disks = neededDisks(machine);
  return [
    ...disks.flatMap((disk) => asksForPassphrase(machine, disk)),
    ...disks.flatMap(isDegraded),
    ...disks.flatMap(isOnNetwork),
    ...disks.flatMap((disk) => isMountedByNoBoot(machine, disk)),
    ...apart(disks),
  ];
}

const RESTARTS =
  "If nobody answers before the deadline of the swap, a watchdog restarts the machine with the old kernel, which asks too";

function asksForPassphrase(machine: Machine, { mount, layers }: NeededDisk): Finding[] {
  const crypttab = machine.text("/etc/crypttab");
  return layers.flatMap((layer) => {
    if (layer.kind !== "crypt") return [];
    const line = crypttab.split("\n").find((text) => text.trim().split(/\s+/)[0] === layer.name);
    if (line !== undefined && unlocksItself(machine, line)) return [];
    return [
      failures.DISK_ASKS_FOR_PASSPHRASE({
        name: layer.name,
        mountPoint: mount.mountPoint,
        isUnlisted: line === undefined,
        restarts: RESTARTS,
        overSsh: overSsh(machine),
        ways: waysOfKeys(machine),
      }),
    ];
  });
}

function overSsh(machine: Machine): string {
  if (usesDracut(machine)) return "";
  const isThere = machine.has("/usr/share/initramfs-tools/hooks/dropbear");
  return isThere ? " (dropbear-initramfs takes it over ssh)" : ", or let ssh do so (dropbear-initramfs)";
}

function waysOfKeys(machine: Machine): string {
  return usesDracut(machine)
    ? "a key file or tpm2-device= in crypttab(5), clevis-dracut"
    : "keyscript= or a key file in crypttab(5), clevis-initramfs, tpm2-device= with dracut";
}

/** Whether a line of crypttab(5), or clevis, brings the key. */
function unlocksItself(machine: Machine, line: string): boolean {
  const [, , key = "none", options = ""] = line.trim().split(/\s+/);
  if (!["none", "-", ""].includes(key)) return true;
  if (/(^|,)(keyscript|tpm2-device|fido2-device|pkcs11-uri)=/.test(options)) return true;
  return machine.has("/usr/share/initramfs-tools/hooks/clevis") || machine.has("/usr/lib/dracut/modules.d/60clevis");
}

function isDegraded({ mount, layers }: NeededDisk): Finding[] {
  return layers.flatMap((layer) => {
    if (layer.kind !== "raid" || layer.missing === 0) return [];
    return [
      failures.RAID_DEGRADED({
        name: layer.name,
        mountPoint: mount.mountPoint,
        missing: layer.missing,
        level: layer.level,
      }),
    ];
  });
}

function isOnNetwork({ mount, early, layers }: NeededDisk): Finding[] {
  const network = layers.find((layer) => layer.kind === "network");
  if (network === undefined) return [];
  const { protocol, name } = network;
  const point = mount.mountPoint;
  if (early) {
    return [failures.ROOT_ON_NETWORK({ point, name, protocol })];
  }
  return [failures.STATE_ON_NETWORK({ point, name, protocol })];
}

/** A mount that was made by hand, or waits for somebody to come, is not there at boot. */
function isMountedByNoBoot(machine: Machine, { mount, early }: NeededDisk): Finding[] {
  const point = mount.mountPoint;
  if (early || !mount.source.startsWith("/dev/")) return [];
  const why = whyNotMounted(machine, point);
  if (why === undefined) return [];
  return [failures.DISK_NOT_MOUNTED_AT_BOOT({ point, why })];
}

function whyNotMounted(machine: Machine, point: string): string | undefined {
  const line = machine
    .text("/etc/fstab")
    .split("\n")
    .map((text) => text.trim().split(/\s+/))
    .find(([first, at]) => !first?.startsWith("#") && at === point);
  if (line === undefined)
    return hasMountUnit(machine, point) ? undefined : "No line of /etc/fstab and no unit of systemd mounts it.";
  const option = line[3]?.split(",").find((word) => word === "noauto" || word.startsWith("x-systemd.automount"));
  return option === undefined ? undefined : `Its line of /etc/fstab has ${option}.`;
}

/** Its name as systemd-escape(1) makes it of plain paths. */
function hasMountUnit(machine: Machine, point: string): boolean {
  const unit = `${point
    .slice(1)
    .replaceAll("-", String.raw`\x2d`)
    .replaceAll("/", "-")}.mount`;
  const folders = ["/etc/systemd/system", "/run/systemd/generator", "/run/systemd/system", "/lib/systemd/system"];
  return folders.some((folder) => machine.has(`${folder}/${unit}`));
}

/** Nothing stands in the way: it is told what the thaw waits for. */
function apart(disks: readonly NeededDisk[]): Finding[] {
  const points = disks.filter(({ early, layers }) => !early && !layers.some(({ kind }) => kind === "network"));
  if (points.length === 0) return [];
  const names = points.map(({ mount }) => mount.mountPoint).join(", ");
  return [failures.THAW_WAITS_FOR_DISKS({ names })];
}

/** What the initramfs must hold to find the root file system, by the kinds of layers below that. */
export const TOOLS: Readonly<Record<Exclude<Layer["kind"], "network">, readonly [tool: RegExp, packageName: string]>> =
  {
    crypt: [/(^|\/)(cryptsetup|systemd-cryptsetup)$/, "cryptsetup-initramfs"],
    lvm: [/(^|\/)lvm$/, "lvm2"],
    raid: [/(^|\/)mdadm$/, "mdadm"],
  };

/** The package that brings it into an initramfs; dracut itself knows how to take what is installed. */
export function packageFor(kind: keyof typeof TOOLS, machine: Machine): string {
  return kind === "crypt" && usesDracut(machine) ? "cryptsetup" : TOOLS[kind][1];
}

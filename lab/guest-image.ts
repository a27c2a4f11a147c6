/** The guest's root disk: Debian, the kernels that a run needs, and the settings that make it a lab guest. */
import { closeSync, cpSync, ftruncateSync, mkdirSync, openSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { guestBase, type GuestSystem } from "./base.ts";
import { cached, type CacheEntry } from "./cache.ts";
import { type GuestKernel, guestKernel } from "./guest-kernel.ts";
import { type GuestFiles, INITRAMFS_MAKERS, unpackRoot, writeGuestFiles } from "./guest-root.ts";
import { ROOT_LABEL } from "./guest-settings.ts";
import { SERVER_SETTINGS } from "./guest-server.ts";
import { SLIM_SETTINGS } from "./guest-slim.ts";
import { temporaryDirectory } from "./lifetime.ts";
import { runTool } from "./tool.ts";

export const KMONTE_LABEL = "lab-kmonte";

/** Room for the images of what is frozen; the file is sparse, so it costs nothing until it is used. */
const DISK_BYTES = 6 * 2 ** 30;

const AGENT_UNIT = `[Unit]
Description=Runs the commands of the lab's host
DefaultDependencies=no
After=sysinit.target kmonte-thaw.service
Conflicts=shutdown.target

[Service]
ExecStart=/usr/bin/python3 /usr/local/lib/lab/agent.py
KillMode=process

[Install]
WantedBy=basic.target
`;

/** What every guest has: a name, and the lab's hand in it. */
const FILES: GuestFiles = {
  "/etc/hostname": "lab\n",
  "/etc/hosts": "127.0.0.1 localhost lab\n::1 localhost\n",
  "/etc/machine-id": `${"1ab".padEnd(32, "0")}\n`,
  "/etc/systemd/system/lab-agent.service": AGENT_UNIT,
  // An emulated disk may take its time: without the root's device, systemd would leave the root read-only.
  "/etc/systemd/system.conf.d/lab.conf": "[Manager]\nDefaultDeviceTimeoutSec=600\n",
  "/usr/local/lib/lab/agent.py": readFileSync(join(import.meta.dirname, "guest/agent.py"), "utf8"),
};

/** The root disk with these kernels (keys of KERNEL_SUITES), from the cache when it is there. */
export async function guestImage(system: GuestSystem, versions: readonly string[]): Promise<CacheEntry> {
  const base = await guestBase(system);
  const sorted = [...new Set(versions)].sort();
  const kernels: GuestKernel[] = [];
  for (const version of sorted) kernels.push(await guestKernel(version, system));
  const { files: own, masked } = system.kind === "slim" ? SLIM_SETTINGS : SERVER_SETTINGS;
  const maker = INITRAMFS_MAKERS[system.initramfs ?? "initramfs-tools"];
  const files = { ...maker.files, ...FILES, ...own };
  const recipe = { base: base.key, kernels: kernels.map((kernel) => kernel.key), files, masked, DISK_BYTES };
  return cached(`guest-${sorted.join("+")}`, recipe, async (target) => {
    using work = temporaryDirectory("kmonte-guest-");
    const root = join(work.path, "root");
    await unpackRoot(base.path, root);
    for (const kernel of kernels) cpSync(kernel.tree, root, { recursive: true, verbatimSymlinks: true });
    writeGuestFiles(root, files);
    maskUnits(root, masked.units);
    maskGenerators(root, masked.generators);
    enableUnit(root, "lab-agent.service", "basic.target");
    if (system.kind === "slim") enableNetworkd(root);
    placeKmonte(root);
    await makeFileSystem(root, target, ROOT_LABEL, DISK_BYTES);
  });
}

/** Has systemd start none of these before its first unit. */
function maskGenerators(root: string, generators: readonly string[]): void {
  const directory = join(root, "etc/systemd/system-generators");
  mkdirSync(directory, { recursive: true });
  for (const generator of generators) symlinkSync("/dev/null", join(directory, generator));
}

function enableUnit(root: string, unit: string, target: string): void {
  const wants = join(root, `etc/systemd/system/${target}.wants`);
  mkdirSync(wants, { recursive: true });
  symlinkSync(`../${unit}`, join(wants, unit));
}

/** Where kmonte is found, once it is put or mounted there. */
export function placeKmonte(root: string): void {
  mkdirSync(join(root, "opt/kmonte"), { recursive: true });
  mkdirSync(join(root, "usr/local/bin"), { recursive: true });
  symlinkSync("/opt/kmonte/bin/kmonte", join(root, "usr/local/bin/kmonte"));
}

/** Replaces units by nothing, so that systemd starts none of them. */
export function maskUnits(root: string, units: readonly string[]): void {
  const system = join(root, "etc/systemd/system");
  for (const unit of units) {
    rmSync(join(system, unit), { force: true });
    symlinkSync("/dev/null", join(system, unit));
  }
}

export function enableNetworkd(root: string): void {
  const wants = join(root, "etc/systemd/system/multi-user.target.wants");
  mkdirSync(wants, { recursive: true });
  symlinkSync("/lib/systemd/system/systemd-networkd.service", join(wants, "systemd-networkd.service"));
}

/** An ext4 image of a directory, made without mounting. The oldest kernel of the lab must be able to mount it. */
export async function makeFileSystem(tree: string, image: string, label: string, bytes: number): Promise<void> {
  const file = openSync(image, "w");
  ftruncateSync(file, bytes);
  closeSync(file);
  // By its full path: busybox has a mke2fs too, which knows no -d.
  const features = "^orphan_file,^metadata_csum_seed";
  await runTool("/sbin/mke2fs", ["-q", "-F", "-t", "ext4", "-O", features, "-m", "0", "-L", label, "-d", tree, image]);
}

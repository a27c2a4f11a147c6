/** The guest's root disk: Debian, the kernels that a run needs, and the settings that make it a lab guest. */
import { closeSync, cpSync, ftruncateSync, mkdirSync, openSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { guestBase } from "./base.ts";
import { cached, type CacheEntry } from "./cache.ts";
import { type GuestKernel, guestKernel } from "./guest-kernel.ts";
import { type GuestFiles, INITRAMFS_FILES, unpackRoot, writeGuestFiles } from "./guest-root.ts";
import { temporaryDirectory } from "./lifetime.ts";
import { runTool } from "./tool.ts";
import { GUEST_ADDRESS, GUEST_ADDRESS6 } from "./wire.ts";

export const ROOT_LABEL = "lab-root";
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

/** The machine's end of the wire to the demonstration's clients. */
export const NETWORK = `[Match]
Name=en* eth*

[Network]
Address=${GUEST_ADDRESS}/24
Address=${GUEST_ADDRESS6}/64
IPv6AcceptRA=no
LinkLocalAddressing=no
`;

const FSTAB = `LABEL=${ROOT_LABEL} / ext4 defaults 0 0
`;

/** Units that a guest living for a minute does without; everything else is as Debian has it. */
const MASKED = [
  "apt-daily.timer",
  "apt-daily-upgrade.timer",
  "dpkg-db-backup.timer",
  "e2scrub_all.timer",
  "e2scrub_reap.service",
  "fstrim.timer",
  "getty@tty1.service",
  "kexec.service",
  "kexec-load.service",
  "serial-getty@ttyS0.service",
  "redis-server.service",
  "nftables.service",
  "nginx.service",
  "systemd-networkd-wait-online.service",
  "systemd-network-generator.service",
  "systemd-pstore.service",
  "systemd-binfmt.service",
  "systemd-journal-flush.service",
  "systemd-logind.service",
  "systemd-modules-load.service",
  "systemd-sysusers.service",
  "systemd-timesyncd.service",
  "systemd-update-utmp.service",
  "systemd-update-utmp-runlevel.service",
  "systemd-user-sessions.service",
  "proc-sys-fs-binfmt_misc.automount",
  "dev-hugepages.mount",
  "dev-mqueue.mount",
  "sys-kernel-debug.mount",
  "sys-kernel-tracing.mount",
  "sys-fs-fuse-connections.mount",
  "modprobe@configfs.service",
  "modprobe@dm_mod.service",
  "modprobe@loop.service",
  "modprobe@drm.service",
  "modprobe@efi_pstore.service",
  "modprobe@fuse.service",
];

/** Programs that systemd starts before its first unit, to look for disks and settings that the guest has not. */
const GENERATORS_MASKED = [
  "systemd-cryptsetup-generator",
  "systemd-debug-generator",
  "systemd-getty-generator",
  "systemd-gpt-auto-generator",
  "systemd-hibernate-resume-generator",
  "systemd-integritysetup-generator",
  "systemd-rc-local-generator",
  "systemd-run-generator",
  "systemd-system-update-generator",
  "systemd-sysv-generator",
  "systemd-veritysetup-generator",
];

/** Drivers of an emulated PC that the guest has no use for; each costs a tenth of a second or more to load. */
const NOT_LOADED = `ata_piix ata_generic floppy psmouse pcspkr button i2c_piix4 evdev serio_raw powernow_k8
  aesni_intel ghash_clmulni_intel sha512_ssse3 sha256_ssse3 sha1_ssse3 crct10dif_pclmul crc32_pclmul polyval_clmulni kvm_amd kvm_intel kvm qemu_fw_cfg bochs configfs`.split(
  /\s+/,
);

function guestFiles(): GuestFiles {
  return {
    ...INITRAMFS_FILES,
    "/etc/hostname": "lab\n",
    "/etc/hosts": "127.0.0.1 localhost lab\n",
    "/etc/machine-id": `${"1ab".padEnd(32, "0")}\n`,
    "/etc/fstab": FSTAB,
    "/etc/systemd/network/lab.network": NETWORK,
    "/etc/modprobe.d/lab.conf": NOT_LOADED.map((name) => `blacklist ${name}\n`).join(""),
    "/etc/systemd/system/lab-agent.service": AGENT_UNIT,
    "/usr/local/lib/lab/agent.py": readFileSync(join(import.meta.dirname, "guest/agent.py"), "utf8"),
  };
}

/** The root disk with these kernels (keys of KERNEL_SUITES), from the cache when it is there. */
export async function guestImage(versions: readonly string[]): Promise<CacheEntry> {
  const base = await guestBase();
  const sorted = [...new Set(versions)].sort();
  const kernels: GuestKernel[] = [];
  for (const version of sorted) kernels.push(await guestKernel(version));
  const recipe = {
    base: base.key,
    kernels: kernels.map((kernel) => kernel.key),
    files: guestFiles(),
    MASKED,
    GENERATORS_MASKED,
    DISK_BYTES,
  };
  return cached(`guest-${sorted.join("+")}`, recipe, async (target) => {
    using work = temporaryDirectory("kmonte-guest-");
    const root = join(work.path, "root");
    await unpackRoot(base.path, root);
    for (const kernel of kernels) cpSync(kernel.tree, root, { recursive: true, verbatimSymlinks: true });
    writeGuestFiles(root, guestFiles());
    enableUnits(root);
    await makeFileSystem(root, target, ROOT_LABEL, DISK_BYTES);
  });
}

function enableUnits(root: string): void {
  const system = join(root, "etc/systemd/system");
  maskUnits(root, MASKED);
  const generators = join(root, "etc/systemd/system-generators");
  mkdirSync(generators, { recursive: true });
  for (const generator of GENERATORS_MASKED) symlinkSync("/dev/null", join(generators, generator));
  mkdirSync(join(system, "basic.target.wants"), { recursive: true });
  symlinkSync("../lab-agent.service", join(system, "basic.target.wants/lab-agent.service"));
  enableNetworkd(root);
  placeKmonte(root);
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

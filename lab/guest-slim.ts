/** The slim guest: everything that a machine living for a minute does without is masked. */
import { type GuestSettings, ROOT_LABEL } from "./guest-settings.ts";
import { GUEST_ADDRESS, GUEST_ADDRESS6 } from "./wire.ts";

/** The machine's end of the wire to the demonstration's clients. */
export const NETWORK = `[Match]
Name=en* eth*

[Network]
Address=${GUEST_ADDRESS}/24
Address=${GUEST_ADDRESS6}/64
IPv6AcceptRA=no
LinkLocalAddressing=no
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

export const SLIM_SETTINGS: GuestSettings = {
  files: {
    "/etc/fstab": `LABEL=${ROOT_LABEL} / ext4 defaults 0 0\n`,
    "/etc/systemd/network/lab.network": NETWORK,
    "/etc/modprobe.d/lab.conf": NOT_LOADED.map((name) => `blacklist ${name}\n`).join(""),
  },
  masked: { units: MASKED, generators: GENERATORS_MASKED },
};

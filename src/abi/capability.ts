/** Capabilities in the order of their numbers (capabilities(7), include/uapi/linux/capability.h). */
import { InconsistentImage } from "../errors/wrong-input.ts";

export const CAPABILITIES = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_DAC_READ_SEARCH",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_LINUX_IMMUTABLE",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_BROADCAST",
  "CAP_NET_ADMIN",
  "CAP_NET_RAW",
  "CAP_IPC_LOCK",
  "CAP_IPC_OWNER",
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_CHROOT",
  "CAP_SYS_PTRACE",
  "CAP_SYS_PACCT",
  "CAP_SYS_ADMIN",
  "CAP_SYS_BOOT",
  "CAP_SYS_NICE",
  "CAP_SYS_RESOURCE",
  "CAP_SYS_TIME",
  "CAP_SYS_TTY_CONFIG",
  "CAP_MKNOD",
  "CAP_LEASE",
  "CAP_AUDIT_WRITE",
  "CAP_AUDIT_CONTROL",
  "CAP_SETFCAP",
  "CAP_MAC_OVERRIDE",
  "CAP_MAC_ADMIN",
  "CAP_SYSLOG",
  "CAP_WAKE_ALARM",
  "CAP_BLOCK_SUSPEND",
  "CAP_AUDIT_READ",
  "CAP_PERFMON",
  "CAP_BPF",
  "CAP_CHECKPOINT_RESTORE",
] as const;

/** The set with these names; throws an {@link InconsistentImage} at one that is not known. */
export function capabilityMask(names: readonly string[]): bigint {
  return names.reduce((mask, name) => {
    const place = (CAPABILITIES as readonly string[]).indexOf(name);
    const bit = place >= 0 ? place : Number(/^CAP_(\d+)$/.exec(name)?.[1]);
    if (!Number.isInteger(bit) || bit > 63) throw new InconsistentImage(`unknown capability ${name}`);
    return mask | (1n << BigInt(bit));
  }, 0n);
}

/** _LINUX_CAPABILITY_VERSION_3 of capset(2). */
export const CAPABILITY_VERSION = 0x20080522;

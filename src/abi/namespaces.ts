/**
 * Namespaces as a thread meets them: namespaces(7), setns(2), unshare(2), include/uapi/linux/nsfs.h. The thread that
 * enters one comes back to where it was; other threads of ours are never moved.
 */
import { CLONE } from "./clone.ts";

/** Names as /proc/PID/ns has them, with the flag of clone(2) that makes a new one. */
export const NAMESPACE = {
  cgroup: CLONE.NEWCGROUP,
  ipc: CLONE.NEWIPC,
  mnt: CLONE.NEWNS,
  net: CLONE.NEWNET,
  pid: CLONE.NEWPID,
  user: CLONE.NEWUSER,
  uts: CLONE.NEWUTS,
} as const;
export const CLONE_OF = { ...NAMESPACE, time: CLONE.NEWTIME };

/** ioctl_nsfs(2): the user namespace that owns a namespace, the parent of one that is nested, and its owner's user. */
export const NS_GET_USERNS = 0xb701;
export const NS_GET_PARENT = 0xb702;
export const NS_GET_NSTYPE = 0xb703;
export const NS_GET_OWNER_UID = 0xb704;

/** The network namespace that a socket was made in (linux/sockios.h). */
export const SIOCGSKNS = 0x894c;

/** What must be mounted before the frozen processes can come back. */
import { readFileSync, realpathSync } from "node:fs";
import { failures } from "../errors/catalogue.ts";

export interface Mount {
  readonly point: string;
  readonly type: string;
  readonly source: string;
}

/** File systems that the kernel or systemd provide by themselves, before any unit is started. */
const ALWAYS_THERE = new Set(
  "autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue proc pstore ramfs securityfs sysfs tracefs".split(
    " ",
  ),
);

/** The mounts of /proc/self/mountinfo, in the order of their mounting. */
export function parseMounts(mountinfo: string): Mount[] {
  return mountinfo
    .split("\n")
    .filter((line) => line.includes(" - "))
    .map((line) => {
      const [before = "", after = ""] = line.split(" - ");
      const point = unescape(before.split(" ")[4] ?? "");
      const [type = "", source = ""] = after.split(" ");
      return { point, type, source: unescape(source) };
    });
}

/** The mount that a path lies on: the deepest, and of equals the latest. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  const under = mounts.filter(({ point }) => point === "/" || path === point || path.startsWith(`${point}/`));
  return under.reduce<Mount | undefined>((best, mount) => {
    return best && best.point.length > mount.point.length ? best : mount;
  }, undefined);
}

/** Whether files lie on other disks than the root file system's: then the thaw waits until all are mounted. */
export function hasOtherDisks(mounts: readonly Mount[]): boolean {
  return mounts.some(({ point, type }) => point !== "/" && type !== "tmpfs" && !ALWAYS_THERE.has(type));
}

export function presentMounts(): Mount[] {
  return parseMounts(readFileSync("/proc/self/mountinfo", "utf8"));
}

/** Refuses a directory that the new kernel would find empty. `path` must exist. */
export function requireLasting(path: string, purpose: string): void {
  const mount = mountOf(realpathSync(path), presentMounts());
  if (mount && mount.type !== "tmpfs" && mount.type !== "ramfs") return;
  throw failures.NOT_ON_DISK({ path, purpose, type: mount?.type ?? "nothing known", point: mount?.point ?? "?" });
}

/** mountinfo writes blanks and backslashes as octal escapes. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** What most tests of units install, all the same: such a disk is made once for each release of Debian. */
import type { DebianRelease } from "../../lab/bootstrap.ts";
import type { DiskContents } from "../../lab/namespace-disk.ts";

const PACKAGES = [
  ...["redis-server", "nginx", "memcached", "haproxy", "cron", "openssh-server", "libpam-systemd", "tmux", "vim-tiny"],
  ...["nodejs", "python3-dbus"],
];

export function serverMachine(debian: DebianRelease): DiskContents {
  return { debian, packages: PACKAGES };
}

/** The root file system of a guest as a tar file, and as a directory, to install into it or to make an image of it. */
import { mkdirSync, writeFileSync, chmodSync } from "node:fs";
import { dirname, join } from "node:path";
import { Refusal } from "../src/errors/failure.ts";
import { runTool } from "./tool.ts";

/** Files to write into a root file system: path → text. Scripts (`#!`) become executable. */
export type GuestFiles = Readonly<Record<string, string>>;

/** How the guest makes its initramfs: few modules, quickly unpacked, because an emulated guest loads them slowly. */
const INITRAMFS_FILES: GuestFiles = {
  "/etc/initramfs-tools/conf.d/lab.conf": "MODULES=list\nCOMPRESS=lz4\nRUNSIZE=10%\n",
  "/etc/initramfs-tools/modules": ["virtio_pci", "virtio_blk", "virtio_console", "virtio_net", "virtio_rng", ""].join(
    "\n",
  ),
};

/** The same for dracut(8): systemd in it, as dracut has it by itself, and what is needed to find the root. */
const DRACUT_FILES: GuestFiles = {
  "/etc/dracut.conf.d/lab.conf": `hostonly="no"
compress="zstd"
dracutmodules="systemd systemd-initrd dracut-systemd rootfs-block udev-rules base fs-lib shutdown"
add_drivers+=" virtio_pci virtio_blk virtio_console virtio_net virtio_rng "
`,
};

/** How a guest's initramfs is made: the settings for its maker, and the command. */
export interface InitramfsMaker {
  readonly files: GuestFiles;
  command(initramfs: string, release: string): readonly string[];
}

export const INITRAMFS_MAKERS: Readonly<Record<"initramfs-tools" | "dracut", InitramfsMaker>> = {
  "initramfs-tools": { files: INITRAMFS_FILES, command: (path, release) => ["mkinitramfs", "-o", path, release] },
  dracut: { files: DRACUT_FILES, command: (path, release) => ["dracut", "--force", "--kver", release, path] },
};

const TAR_OPTIONS = ["--numeric-owner", "--xattrs", "--xattrs-include=*"];

export async function unpackRoot(tar: string, directory: string): Promise<void> {
  requireRoot();
  mkdirSync(directory);
  await runTool("tar", ["-xf", tar, "-C", directory, ...TAR_OPTIONS]);
}

export async function packRoot(directory: string, tar: string): Promise<void> {
  await runTool("tar", ["-cf", tar, "-C", directory, ...TAR_OPTIONS, "."]);
}

export function writeGuestFiles(root: string, files: GuestFiles): void {
  for (const [path, text] of Object.entries(files)) {
    const target = join(root, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
    if (text.startsWith("#!")) chmodSync(target, 0o755);
  }
}

/** Runs a program inside a root directory; /proc is mounted for it alone, so that nothing stays mounted after it. */
export async function runInRoot(root: string, command: readonly string[]): Promise<string> {
  const script = 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"';
  return runTool("unshare", ["--mount", "--fork", "sh", "-c", script, root, ...command], {
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
  });
}

/** Refuses when the caller is not root. */
export function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new Refusal("LAB_NEEDS_ROOT", {
    what: "The guest image cannot be made.",
    why: "Its files belong to several users, and only root can write them so.",
    remedy: "Run the same command with sudo, or set KMONTE_CACHE to a directory in which root already made the image.",
  });
}

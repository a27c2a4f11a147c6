/** The initramfs for the new kernel: its own, with a first program of ours that does a few things and becomes its own. */
import type { CpioEntry } from "./cpio.ts";
import type { Kernel } from "./kernels.ts";
import { withEntries } from "./initramfs-archive.ts";
import { contentsOf, readInitramfs, type ReadInitramfs, UNREADABLE } from "./initramfs.ts";

/** Said on the kernel's log when user space begins, so that the timeline can tell the kernel's part from the rest. */
export const USERLAND_MARK = "kmonte: user space begins";

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;

/** The directory that is ours there. */
export const HOOK_PLACE = "kmonte";

/** What the kernel runs first, and where that is under our program: by the same name, which busybox goes by. */
const INIT = "init";
const OWN_INIT = `${HOOK_PLACE}/init`;

export interface HookedInitrd {
  /** Undefined when the kernel has none. */
  readonly bytes: Buffer | undefined;
  /** Why nothing of ours runs in it. Then the boot's units do the same a little later, as far as they can. */
  readonly unhooked?: string;
}

/** The initramfs of this kernel for a boot with that command line. */
export function hookedInitrd(
  { initrd }: Kernel,
  commandLine: string,
  commands: string,
  files: readonly CpioEntry[] = [],
): HookedInitrd {
  if (initrd === undefined) return { bytes: undefined, unhooked: "there is none" };
  const { bytes, contents } = readInitramfs(initrd);
  // Then the kernel does not look at /init.
  const chosen = /(?:^|\s)rdinit=(\S+)/.exec(commandLine)?.[1];
  if (chosen !== undefined) return { bytes, unhooked: `rdinit= has the kernel run ${chosen} in it` };
  return initrdWithHook(bytes, commands, files, contents);
}

/**
 * The initramfs with a program in the place of its /init, which runs these shell commands and then becomes that /init,
 * whoever made the initramfs and however its init goes on. Where that could go wrong it stays as it is.
 */
export function initrdWithHook(
  bytes: Buffer,
  commands: string,
  files: readonly CpioEntry[] = [],
  contents: ReadInitramfs = contentsOf(bytes),
): HookedInitrd {
  const hookable = "hookable" in contents ? contents.hookable : UNREADABLE;
  if (typeof hookable === "string") return { bytes, unhooked: hookable };
  const { init, missing, end } = hookable;
  return {
    bytes: withEntries(bytes, end, [
      ...missing.map((path) => ({ path, mode: DIRECTORY, data: Buffer.alloc(0) })),
      { path: HOOK_PLACE, mode: DIRECTORY, data: Buffer.alloc(0) },
      { ...init, path: OWN_INIT },
      { path: INIT, mode: PROGRAM, data: Buffer.from(initScript(commands)) },
      ...files,
    ]),
  };
}

/** For any sh: dash, bash, or those of klibc and busybox. What fails in it is no reason to stop. */
function initScript(commands: string): string {
  return `#!/bin/sh
(
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t devtmpfs devtmpfs /dev
{
echo "${USERLAND_MARK}" >/dev/kmsg
${commands}
} 2>/dev/null
umount /dev
umount /proc
)
exec /${OWN_INIT} "$@"
`;
}

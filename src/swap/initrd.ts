/** The initramfs for the new kernel: its own, with a first program of ours that does a few things and becomes its own. */
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import type { CpioEntry } from "./cpio.ts";
import type { Kernel } from "./kernels.ts";
import { InitramfsArchive, isLink, isRegular, linkTarget } from "./initramfs-archive.ts";

/** Said on the kernel's log when user space begins, so that the timeline can tell the kernel's part from the rest. */
export const USERLAND_MARK = "kmonte: user space begins";

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;
const EXECUTABLE = 0o111;

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
  const bytes = readFileSync(initrd);
  // Then the kernel does not look at /init.
  const chosen = /(?:^|\s)rdinit=(\S+)/.exec(commandLine)?.[1];
  if (chosen !== undefined) return { bytes, unhooked: `rdinit= has the kernel run ${chosen} in it` };
  return initrdWithHook(bytes, commands, files);
}

/**
 * The initramfs with a program in the place of its /init, which runs these shell commands and then becomes that /init,
 * whoever made the initramfs and however its init goes on. Where that could go wrong it stays as it is.
 */
export function initrdWithHook(bytes: Buffer, commands: string, files: readonly CpioEntry[] = []): HookedInitrd {
  const archive = InitramfsArchive.read(bytes);
  if (!archive) return { bytes, unhooked: "it is compressed in a way that cannot be read here" };
  const own = ownInit(archive);
  if (!own) return { bytes, unhooked: "it has no /init that could be put aside" };
  const shell = archive.resolve("bin/sh");
  if (!shell || !isRegular(shell) || (shell.mode & EXECUTABLE) === 0) return { bytes, unhooked: "it has no /bin/sh" };
  const places = ["proc", "dev"].filter((path) => !archive.entry(path));
  return {
    bytes: archive.with([
      ...places.map((path) => ({ path, mode: DIRECTORY, data: Buffer.alloc(0) })),
      { path: HOOK_PLACE, mode: DIRECTORY, data: Buffer.alloc(0) },
      own,
      { path: INIT, mode: PROGRAM, data: Buffer.from(initScript(commands)) },
      ...files,
    ]),
  };
}

/** Its /init, as it is put aside. */
function ownInit(archive: InitramfsArchive): CpioEntry | undefined {
  const entry = archive.entry(INIT);
  const program = archive.resolve(INIT);
  if (!entry || !program || !isRegular(program)) return undefined;
  if (isLink(entry))
    return { path: OWN_INIT, mode: entry.mode, data: Buffer.from(posix.resolve("/", linkTarget(entry))) };
  // Of a file with several names the last one has the data, and writing to one changes all.
  return entry.links > 1 ? undefined : { path: OWN_INIT, mode: entry.mode, data: entry.data };
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
